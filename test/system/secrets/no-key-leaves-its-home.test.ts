// SPDX-License-Identifier: Apache-2.0
// Where private keys are while pods run, in each TLS mode: a VM's key in its own configuration file and nowhere on the
// worker, the worker's own two in files of 0600, and none in a log, a command line, an environment or an answer.
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import t, { type Test } from 'tap';
import { parseApf } from '@peerpod-tls/user-data';
import { localFlags, startAdaptor } from '../../kit/adaptor-program.js';
import { manualWorld } from '../../kit/certificates.js';
import { filesBelow, processesOf, procFile, temporary } from '../../kit/directory.js';
import { vmsIn } from '../../kit/leftovers.js';
import { Program, run } from '../../kit/program.js';
import { generationsBelow } from '../../kit/proxies.js';
import { dialAgent, startContainer, startPod } from '../../kit/shim.js';

/** Lines of a key's body: found in any wrapping, whether as PEM, in JSON or in YAML. */
function bodyOf(keyPem: string): string[] {
  return keyPem.split('\n').filter(line => line.length > 20 && !line.startsWith('-'));
}

const holdsAny = (text: string, bodies: readonly string[]): boolean =>
  text.includes('PRIVATE KEY-----\n') ||
  text.includes('PRIVATE KEY-----\\n') ||
  bodies.some(line => text.includes(line));

/** Paths below `directory`, cut to it, of files that hold a private key, with their modes. */
function keyFiles(directory: string, bodies: readonly string[]): string[] {
  return filesBelow(directory)
    .filter(({ path }) => holdsAny(readFileSync(path, 'latin1'), bodies))
    .map(({ path, mode }) => `${path.slice(directory.length + 1)} ${mode.toString(8)}`)
    .toSorted();
}

function checkProcesses(t: Test, directory: string, bodies: readonly string[]): void {
  const processes = processesOf(directory);
  t.ok(processes.length >= 4, `${processes.length} processes: adaptor, VM leader, forwarder, agent …`);
  for (const { pid, command } of processes) {
    const said = procFile(pid, 'cmdline') + procFile(pid, 'environ');
    t.notOk(holdsAny(said, bodies), `no key in the command line or environment of ${basename(command)}`);
  }
}

t.test('automatic mode', { timeout: 30_000 }, async t => {
  const directory = temporary(t);
  const adaptor = await startAdaptor(t, directory, ['-log-level=debug']);
  const { agent, client } = await dialAgent(await startPod(adaptor.hypervisor, 'secret'));
  await startContainer(agent, 'c', 'sleep 600');
  const [id = ''] = vmsIn(directory);
  const guest = filesBelow(join(directory, 'vms')).find(({ path }) => path.endsWith('run/peerpod/apf.json'));
  t.equal(guest?.mode, 0o600);
  const key = parseApf(readFileSync(guest?.path ?? '', 'utf8')).config.tlsServerKey ?? '';
  const bodies = bodyOf(key);
  t.ok(bodies.length > 0, 'the key of the VM is known to this test');

  t.strictSame(
    keyFiles(join(directory, 'pods'), bodies).map(withoutVersions),
    ['.state/identity/ca.key 600', '.state/identity/client.key 600', '.state/proxy/G/material.json 600'],
    "on the worker there are the adaptor's own keys, for it alone, and its proxy's copy of the client's",
  );
  const worker = filesBelow(join(directory, 'pods')).filter(({ path }) =>
    bodies.some(line => readFileSync(path, 'latin1').includes(line)),
  );
  t.strictSame(worker, [], "and not a line of the VM's");
  // Without the last line, which is the public half, and in every certificate of the CA.
  const caKey = bodyOf(readFileSync(join(directory, 'pods/.state/identity/ca.key'), 'utf8')).slice(0, 2);
  const [generation = ''] = generationsBelow(directory);
  for (const { path } of filesBelow(generation))
    t.notOk(
      caKey.some(line => readFileSync(path, 'latin1').includes(line)),
      `no key of the CA in ${path}`,
    );
  t.match(
    keyFiles(join(directory, 'vms'), bodies),
    [new RegExp(`${id}/fs/run/peerpod/apf\\.json 600$`)],
    'in the VM it is in one file: not in the user-data it came in, the console or the boot plan',
  );
  checkProcesses(t, directory, bodies);
  for (const path of ['/sandboxes', '/metrics', '/readyz'])
    t.notOk(holdsAny(await adaptor.get(path), bodies), `no key in ${path}`);
  client.close();
  await adaptor.hypervisor.StopVM({ id: 'secret' });
  t.strictSame(keyFiles(join(directory, 'vms'), bodies), [], 'after StopVM the key is nowhere');
  const { stdout, stderr } = await adaptor.program.kill('SIGTERM');
  t.ok(stderr.includes('"certificate issued"'), 'the log told of the certificate');
  t.notOk(holdsAny(stdout + stderr, bodies), 'and not of its key');
});

/** A path without what differs from run to run. */
function withoutVersions(file: string): string {
  return file.replace(/\.\.set-[^/]+\//, '').replace(/proxy\/[^/]+/, 'proxy/G');
}

t.test('manual mode', { timeout: 30_000 }, async t => {
  const directory = temporary(t);
  const world = await manualWorld(directory);
  const adaptor = await startAdaptor(t, directory, [
    ...world.adaptorFlags,
    `-forwarder-options=${world.forwarderFlags.join(',')}`,
    '-log-level=debug',
  ]);
  await startPod(adaptor.hypervisor, 'manual');
  const bodies = [world.client, world.server].flatMap(({ key }) => bodyOf(readFileSync(key, 'utf8')));
  t.strictSame(
    keyFiles(join(directory, 'pods'), bodies).map(withoutVersions),
    ['.state/proxy/G/material.json 600'],
    'the proxy keeps what it dials with, and the adaptor writes no key at all',
  );
  t.strictSame(keyFiles(join(directory, 'vms'), bodies), [], 'nor does the user-data carry one');
  checkProcesses(t, directory, bodies);
  await adaptor.hypervisor.StopVM({ id: 'manual' });
  const { stdout, stderr } = await adaptor.program.kill('SIGTERM');
  t.notOk(holdsAny(stdout + stderr, bodies), 'no key in the log');
});

t.test('a whole demo', { timeout: 30_000 }, async t => {
  const directory = join(temporary(t), 'kept');
  const demo = await run(t, 'peerpod', ['demo', '-once', '-keep-dir', directory, '--', 'env']);
  t.equal(demo.code, 0, demo.stderr);
  t.strictSame(
    keyFiles(directory, []).map(file => file.replace(/^.*\//, '')),
    ['ca.key 600', 'client.key 600', 'material.json 600'],
    'all that it wrote, its logs among it, holds the two keys of the adaptor, and what its proxy dials with',
  );
  t.notMatch(demo.stdout, /PRIVATE KEY/);
});

t.test('a refused start says nothing of the key it read', async t => {
  const directory = temporary(t);
  const world = await manualWorld(directory);
  const bodies = bodyOf(readFileSync(world.server.key, 'utf8'));
  const program = new Program(t, 'cloud-api-adaptor', [
    ...localFlags(directory),
    ...world.adaptorFlags,
    `-cert-key=${world.server.key}`,
    '-log-level=trace',
  ]);
  const { code, stdout, stderr } = await program.ended;
  t.equal(code, 1);
  t.match(stderr, /does not belong to the certificate/);
  t.notOk(holdsAny(stdout + stderr, bodies));
});
