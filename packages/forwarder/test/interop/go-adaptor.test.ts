// SPDX-License-Identifier: Apache-2.0
// The real forwarder under an adaptor in Go: crypto/tls, containerd/ttrpc and kata's own messages, with certificates and
// an apf.json made as upstream makes them. Needs Go and its module proxy; skips with the reason where they are absent.
import { execFile } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import { buildGoProgram } from '../../../../test/kit/go-program.js';

import { Program } from '../support/program.js';
import { makeWorld, startAgent } from '../support/world.js';

const run = promisify(execFile);

/** The program, or why it cannot be had on this machine. */
const build = (directory: string): ReturnType<typeof buildGoProgram> =>
  buildGoProgram(fileURLToPath(new URL('.', import.meta.url)), join(directory, 'adaptor'));

const directory = mkdtempSync(join(tmpdir(), 'go-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));
const go = build(directory);
const program = 'program' in go ? go.program : '';
const skip = 'reason' in go && go.reason;

t.test(
  'a Go adaptor with upstream certificates and configuration is served over TLS 1.3 and 1.2',
  { skip },
  async t => {
    const world = await makeWorld(t);
    const agent = await startAgent(t, world);
    await run(program, ['prepare', directory]);
    copyFileSync(join(directory, 'apf.json'), world.configFile);
    const forwarder = new Program(t, world.argv);
    const address = `127.0.0.1:${await forwarder.port()}`;
    for (const version of ['1.3', '1.2']) {
      const { stdout } = await run(program, ['call', address, directory, 'adaptor', version]);
      t.same(JSON.parse(stdout), {
        version: `TLS ${version}`,
        serving: true,
        agent: '1',
        answered: 64,
        blocked: true,
        failure: '',
      });
    }
    t.match(agent.containers, [{ containerId: 'from-go' }, { containerId: 'from-go' }]);
    t.same(
      agent.containers[0]?.OCI?.Linux?.Namespaces?.map(({ Type, Path }) => [Type, Path]),
      [
        ['mount', ''],
        ['network', '/run/netns/podns'],
      ],
    );
    t.notOk(
      forwarder.lines().some(line => line.msg === 'unknown configuration keys ignored'),
      'it knows every key upstream writes',
    );
  },
);

t.test('a Go adaptor with another client certificate gets no call through', { skip }, async t => {
  const world = await makeWorld(t);
  const agent = await startAgent(t, world);
  await run(program, ['prepare', directory]);
  copyFileSync(join(directory, 'apf.json'), world.configFile);
  const forwarder = new Program(t, world.argv);
  const address = `127.0.0.1:${await forwarder.port()}`;
  const { stdout } = await run(program, ['call', address, directory, 'stranger', '1.3']);
  t.match(JSON.parse(stdout), { serving: false, failure: /./ });
  t.match(await forwarder.said('peer refused'), { subject: /cloud-api-adaptor/ });
  t.same([agent.connections(), agent.containers], [1, []], 'the agent heard of the forwarder alone');
});
