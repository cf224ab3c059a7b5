// SPDX-License-Identifier: Apache-2.0
// docker-compose.yml as a person runs it, in all three TLS modes: real containers, the real openssl recipes, and a
// tester whose exit code says that commands ran in pod VMs.
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { inPath, orReason, ran, startEngine, type Ran } from '../kit/docker-engine.js';
import { BASE_IMAGE, makeBase, makeBundle } from '../kit/docker-images.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const COMPOSE = 'docker-compose';

t.setTimeout(300_000);
const engine = inPath(COMPOSE)
  ? await orReason(() => startEngine())
  : `${COMPOSE} not installed (Debian: apt-get install docker-compose)`;

if (typeof engine === 'string') t.plan(0, engine);
else {
  t.teardown(() => engine.close());
  await makeBundle();
  await makeBase(engine);
  const project = `ppt${process.pid}`;
  const compose = (...args: readonly string[]): Promise<Ran> =>
    ran(COMPOSE, ['-p', project, '--profile', 'manual', '--profile', 'plain', ...args], {
      cwd: ROOT,
      timeoutMs: 180_000,
      env: {
        DOCKER_HOST: engine.host,
        DOCKER_SOCKET: engine.socket,
        DOCKER_CONFIG: path.join(engine.directory, 'config'),
        DOCKER_BUILDKIT: '0',
        BASE_IMAGE,
        OPENSSL_IMAGE: BASE_IMAGE,
      },
    });
  t.teardown(() => compose('down', '-v', '--remove-orphans'));

  const built = await compose('build');
  if (built.code !== 0) throw new Error(built.stdout.slice(-2000) + built.stderr.slice(-2000));

  for (const mode of [
    {
      name: '',
      says: /TLS: automatic, server name podvm-compose-\S+, certificate /,
      link: /"protocol":"TLSv1.3"/,
    },
    { name: '-manual', says: /TLS: manual, server name podvm-server/, link: /"names":\["podvm-server"\]/ },
    { name: '-plain', says: /TLS: disabled/, link: /"protocol":"plain"/ },
  ]) {
    await t.test(`tester${mode.name}: a command runs in a pod VM, and the VM is gone afterwards`, async t => {
      const { code, stdout, stderr } = await compose('run', '--rm', '-T', `tester${mode.name}`);
      if (!t.equal(code, 0, 'exit code of the tester')) t.comment(stdout.slice(-3000) + stderr.slice(-3000));
      t.match(stdout, /hello from podvm-compose-\S+, user 0/);
      t.match(stdout, /CapEff:\s+0{16}/, 'without a capability');
      t.match(stdout, /exit code 42/);
      t.match(stdout, mode.says);
      const log = await compose('logs', '--no-color', `adaptor${mode.name}`);
      t.match(log.stdout, mode.link);
      const left = await engine.docker('ps', '-aq', '--filter', 'label=peerpod.token');
      t.equal(left.stdout, '');
    });
  }

  await t.test('the user-data is in no image, log or volume of the composition', async t => {
    const logs = await compose('logs', '--no-color');
    t.match(logs.stdout, 'sandbox started');
    t.notMatch(logs.stdout + logs.stderr, /PRIVATE KEY/);
    const volumes = (await engine.docker('volume', 'ls', '-q')).stdout.split('\n');
    const look = 'grep -rl user-data /v || grep -rl "PRIVATE KEY" /v';
    const keysIn = async (volume: string): Promise<string[]> => {
      const name = volumes.find(one => one.endsWith(`_${volume}`)) ?? '';
      const mount = ['--network', 'none', '-v', `${name}:/v`];
      const { stdout } = await engine.docker('run', '--rm', ...mount, BASE_IMAGE, 'sh', '-c', look);
      const files = stdout.split('\n').filter(file => file !== '');
      return files.map(file => path.basename(file)).sort();
    };
    t.same(await keysIn('shared'), ['material.json'], 'what the proxy dials with, and no key of the CA');
    t.same(await keysIn('state'), ['ca.key', 'client.key'], 'which the adaptor alone has');
  });
}
