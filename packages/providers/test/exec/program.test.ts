// SPDX-License-Identifier: Apache-2.0
// `cloud-api-adaptor exec` as a program: the shipped example carries a pod over mutual TLS, and an adaptor that is
// killed in the middle of a creation finds and deletes what the script made.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { hypervisorService } from '@peerpod-tls/agent-protocol';
import { clientOf, connectUnix } from '@peerpod-tls/ttrpc';
import t from 'tap';
import { startTime } from '../../src/host/vm-processes.js';
import { eventually } from '../../../../test/kit/log.js';
import { annotations, dialAgent, status } from '../../../../test/kit/shim.js';
import { ANSWER, CREATE, DELETE, makeExecWorld, type ExecWorld } from '../kit/exec-world.js';
import { freePort } from '../../../../test/kit/free-port.js';
import { Program, run } from '../../../adaptor/test/kit/program.js';

const flagsOf = (world: ExecWorld, create: string, remove: string, ...more: string[]): string[] => [
  'exec',
  `-create-command=${create}`,
  `-delete-command=${remove}`,
  `-socket=${path.join(world.directory, 'h.sock')}`,
  `-pods-dir=${world.podsDir}`,
  `-data-dir=${path.join(world.directory, 'table')}`,
  '-status-address=127.0.0.1:0',
  '-drain-timeout=5s',
  ...more,
];

const hypervisorOf = async (world: ExecWorld) =>
  clientOf(hypervisorService, await connectUnix(path.join(world.directory, 'h.sock')));

t.test('a pod on the shipped example: its agent answers over mutual TLS, and nothing stays', async t => {
  const world = makeExecWorld(t);
  const machines = path.join(world.directory, 'm');
  const examples = fileURLToPath(new URL('../../examples/exec', import.meta.url));
  const program = new Program(
    flagsOf(
      world,
      `env -u NODE_OPTIONS ${examples}/create-processes.sh`,
      `env -u NODE_OPTIONS ${examples}/delete.sh`,
      `-list-command=env -u NODE_OPTIONS ${examples}/list.sh`,
      `-forwarder-port=${await freePort()}`,
      '-cloud-config-verify',
    ),
    { PEERPOD_EXAMPLE_DIR: machines },
  );
  t.teardown(() => program.kill('SIGKILL'));
  await program.next('adaptor started');
  t.match(await program.next('provider configuration checked'), { provider: 'exec', checked: true });
  const hypervisor = await hypervisorOf(world);
  const { agentSocketPath } = await hypervisor.CreateVM({
    id: 'real1',
    annotations: annotations('web'),
    networkNamespacePath: '',
  });
  await hypervisor.StartVM({ id: 'real1' });
  t.match(await program.next('link verified'), { protocol: 'TLSv1.3', names: ['podvm-web-real1'] });
  const { health, client } = await dialAgent(agentSocketPath);
  t.match(await health.Check({}), { status: 1 });
  client.close();
  await hypervisor.StopVM({ id: 'real1' });
  t.same(
    readdirSync(machines).filter(name => name !== 'addresses'),
    [],
  );
  t.equal((await program.kill('SIGTERM')).code, 0);
  t.notMatch(program.output, /PRIVATE KEY/);
});

t.test('the reason of a script that fails reaches the shim, and its user-data does not', async t => {
  const world = makeExecWorld(t);
  const create = world.script('create', `cat >&2; echo >&2; echo "no quota for this zone" >&2; exit 3`);
  const program = new Program(flagsOf(world, create, world.script('delete', DELETE)));
  t.teardown(() => program.kill('SIGKILL'));
  await program.next('adaptor started');
  const hypervisor = await hypervisorOf(world);
  await hypervisor.CreateVM({ id: 'bad', annotations: annotations(), networkNamespacePath: '' });
  await t.rejects(
    hypervisor.StartVM({ id: 'bad' }),
    status(2, /-create-command ended with exit code 3: no quota for this zone/),
  );
  t.match(await program.next('sandbox not started'), { sandbox: 'bad', reason: /exit code 3/ });
  t.notMatch(program.output, /PRIVATE KEY|MI[GH][A-Za-z0-9+/]{20}/);
});

t.test('kill -9 while the script works: the next adaptor ends it and deletes what it made', async t => {
  const world = makeExecWorld(t);
  // Answers only when told to, as a cloud that takes minutes.
  const create = world.script(
    'create',
    `${CREATE}echo $$ >running.new; mv running.new running; while [ ! -f go ]; do sleep 0.05; done\n${ANSWER}`,
  );
  const flags = flagsOf(world, create, world.script('delete', DELETE));
  const first = new Program(flags);
  t.teardown(() => first.kill('SIGKILL'));
  await first.next('adaptor started');
  const hypervisor = await hypervisorOf(world);
  await hypervisor.CreateVM({ id: 'cut', annotations: annotations(), networkNamespacePath: '' });
  const start = hypervisor.StartVM({ id: 'cut' }).catch(() => undefined);
  const running = path.join(world.directory, 'running');
  t.ok(await eventually(() => existsSync(running), 20_000));
  const pid = Number(readFileSync(running, 'utf8'));
  await first.kill('SIGKILL');
  t.not(startTime(pid), null, 'the script goes on alone');
  t.same(world.machines(), ['machine-cut.1']);

  const second = new Program(flags);
  t.teardown(() => second.kill('SIGKILL'));
  t.match(await second.next('instance deleted'), { sandbox: 'cut', instance: /^unfinished:/ });
  t.equal(startTime(pid), null);
  // The StartVM that the first one did not answer goes out again to the second, with a token of its own.
  const again = (): boolean => Number(readFileSync(running, 'utf8')) !== pid;
  t.ok(await eventually(again, 20_000));
  t.same(world.machines(), ['machine-cut.2']);
  await (await hypervisorOf(world)).StopVM({ id: 'cut' });
  await start;
  t.same(world.machines(), []);
});

t.test('a command line that names no script ends before anything is served', async t => {
  const { code, stderr } = await run([
    'exec',
    '-create-command',
    '/no/such/script',
    '-delete-command',
    'true',
  ]);
  t.equal(code, 1);
  t.match(stderr, /-create-command: there is no program "\/no\/such\/script"\n.*give the path of a script/);
});
