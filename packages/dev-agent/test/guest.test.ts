// SPDX-License-Identifier: Apache-2.0
import {
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { agentMethods, agentService, int64 } from '@peerpod-tls/agent-protocol';
import t from 'tap';
import { runScript, startAgent, status, until, type RunningAgent } from './running-agent.js';

const SHARED = '/run/kata-containers/shared/containers';

let running: RunningAgent;
t.before(async () => {
  running = await startAgent(t, {}, undefined, ['-keep-socket', '-outlive-sandbox']);
});
t.afterEach(async () => {
  await running.agent.DestroySandbox({});
});

interface Piece {
  readonly path: string;
  readonly data?: string;
  readonly offset?: number;
  readonly size?: number;
  readonly mode?: number;
}

function copy({ path, data = '', offset = 0, size = data.length, mode = constants.S_IFREG | 0o640 }: Piece) {
  const uid = process.geteuid?.() ?? 0;
  const gid = process.getegid?.() ?? 0;
  const numbers = { offset: int64(offset), fileSize: int64(size), fileMode: mode, dirMode: 0o750, uid, gid };
  return running.agent.CopyFile({ path, data: Buffer.from(data), ...numbers });
}

t.test('the agent serves and names its version', async t => {
  t.equal((await running.health.Check({})).status, 1);
  const version = await running.health.Version({});
  t.match(version.agentVersion, /^\d+\.\d+\.\d+/);
  t.match((await running.agent.GetGuestDetails({})).agentDetails, {
    version: version.agentVersion,
    extraFeatures: ['dev-agent-without-isolation'],
  });
});

t.test('a file arrives piece by piece and appears whole, with its mode and without set-user-id', async t => {
  const path = `${SHARED}/pod/resolv.conf`;
  const target = join(running.root, path);
  const mode = constants.S_IFREG | 0o4755;
  await copy({ path, data: 'name', size: 14, mode });
  t.notOk(existsSync(target), 'half a file is not there yet');
  await copy({ path, data: 'server ::1', offset: 4, size: 14, mode });
  t.equal(readFileSync(target, 'utf8'), 'nameserver ::1');
  t.equal(statSync(target).mode & 0o7777, 0o755);
  t.equal(statSync(join(running.root, SHARED, 'pod')).mode & 0o777, 0o750);
  await copy({ path, data: 'short' });
  t.equal(readFileSync(target, 'utf8'), 'short', 'a new file takes the place of the old one');
  await copy({ path: `${SHARED}/empty` });
  t.equal(statSync(join(running.root, SHARED, 'empty')).size, 0);
});

t.test('directories and links arrive too, in the way config maps are laid out', async t => {
  await copy({ path: `${SHARED}/map/..2024`, mode: constants.S_IFDIR | 0o755 });
  await copy({ path: `${SHARED}/map/..2024/key`, data: 'value' });
  await copy({ path: `${SHARED}/map/..data`, data: '..2024', mode: constants.S_IFLNK | 0o777 });
  await copy({ path: `${SHARED}/map/key`, data: '..data/key', mode: constants.S_IFLNK | 0o777 });
  t.equal(readFileSync(join(running.root, SHARED, 'map/key'), 'utf8'), 'value');
  await copy({ path: `${SHARED}/map/..data`, data: '..2025', mode: constants.S_IFLNK | 0o777 });
  t.equal(readlinkSync(join(running.root, SHARED, 'map/..data')), '..2025', 'a link is replaced');
});

t.test('paths that lead elsewhere are refused, whatever way they take', async t => {
  for (const path of [
    '/etc/passwd',
    '/run/kata-containers',
    '/run/kata-containers/../../etc/x',
    'run/kata-containers/x',
  ]) {
    await t.rejects(copy({ path, data: 'x' }), status(3), path);
  }
  for (const path of [`${SHARED}//x`, `${SHARED}/./x`, `${SHARED}/x/`, `${SHARED}/a\0b`]) {
    await t.rejects(copy({ path, data: 'x' }), status(3, /canonical/), path);
  }
  mkdirSync(join(running.root, SHARED), { recursive: true });
  symlinkSync('/tmp', join(running.root, SHARED, 'out'));
  await t.rejects(copy({ path: `${SHARED}/out/x`, data: 'x' }), status(9, /symbolic link out/));
  await copy({ path: `${SHARED}/out`, data: 'x' });
  t.ok(lstatSync(join(running.root, SHARED, 'out')).isFile(), 'the link itself is replaced, not followed');
  await t.rejects(copy({ path: `${SHARED}/out/x`, data: 'x' }), status(9, /no directory/));
});

t.test('pieces that do not fit together are refused', async t => {
  const path = `${SHARED}/pieces`;
  await t.rejects(copy({ path, data: 'abc', size: 2 }), status(3, /beyond the file_size/));
  await t.rejects(copy({ path, data: 'abc', offset: 5, size: 10 }), status(9, /does not follow the 0 bytes/));
  await t.rejects(copy({ path, data: 'abc', offset: -1, size: 10 }), status(3, /offset -1/));
  await t.rejects(copy({ path, data: '', size: -1 }), status(3, /file_size -1/));
  await t.rejects(
    copy({ path, mode: constants.S_IFIFO | 0o600 }),
    status(3, /no file, directory or symbolic link/),
  );
  t.notOk(existsSync(join(running.root, path)));
});

t.test('stats are the numbers of the whole process tree', async t => {
  const { agent } = running;
  await runScript(agent, 'c1', 'i=0; while :; do i=$((i+1)); done & sleep 300 & wait');
  let stats = await agent.StatsContainer({ containerId: 'c1' });
  const cpu = () => Number(stats.cgroupStats?.cpuStats?.cpuUsage?.totalUsage ?? 0);
  const first = cpu();
  while (cpu() < first + 50_000_000) stats = await agent.StatsContainer({ containerId: 'c1' });
  t.equal(Number(stats.cgroupStats?.pidsStats?.current), 3, 'the shell, its loop and its sleep');
  const memory = Number(stats.cgroupStats?.memoryStats?.usage?.usage);
  t.ok(memory > 500_000 && memory < 100_000_000, `${memory} bytes`);
  t.ok(stats.networkStats?.some(({ name }) => name === 'lo'));
  await agent.SignalProcess({ containerId: 'c1', execId: '', signal: 9 });
  await agent.WaitProcess({ containerId: 'c1', execId: 'c1' });
  const last = cpu();
  stats = await agent.StatsContainer({ containerId: 'c1' });
  t.ok(cpu() >= last, 'the time used does not fall when the processes are gone');
  // The first process has been waited for; the others were killed with it and may take a moment to go.
  while (Number(stats.cgroupStats?.pidsStats?.current) > 0) {
    stats = await agent.StatsContainer({ containerId: 'c1' });
  }
  await t.rejects(agent.StatsContainer({ containerId: 'nope' }), status(5));
});

t.test('interfaces, routes, volumes and metrics are those of the machine', async t => {
  const { agent } = running;
  const { Interfaces } = await agent.ListInterfaces({});
  t.strictSame(Interfaces.map(({ name }) => name).sort(), Object.keys(networkInterfaces()).sort());
  const loopback = Interfaces.find(({ name }) => name === 'lo');
  t.ok(loopback?.IPAddresses?.some(({ address, mask }) => address === '127.0.0.1' && mask === '8'));
  const { Routes } = await agent.ListRoutes({});
  const lines = readFileSync('/proc/net/route', 'utf8').trim().split('\n').slice(1);
  t.equal(Routes.length, lines.length);
  const { usage } = await agent.GetVolumeStats({ volumeGuestPath: '/' });
  t.strictSame(
    usage?.map(({ unit }) => unit),
    [1, 2],
  );
  t.ok(Number(usage?.[0]?.total) >= Number(usage?.[0]?.used));
  await t.rejects(agent.GetVolumeStats({ volumeGuestPath: '/none/such' }), status(5));
  await t.rejects(agent.GetVolumeStats({ volumeGuestPath: '/../..' }), status(3));
  t.match((await agent.GetMetrics({})).metrics, /^kata_agent_dev_containers 0$/m);
});

t.test('bytes for the random device are taken', async t => {
  t.ok(await running.agent.ReseedRandomDev({ data: Buffer.from('not very random') }));
});

t.test('an out-of-memory event is waited for until nobody waits any more', async t => {
  const waiting = running.agent.GetOOMEvent({}, { timeoutMs: 50 });
  await t.rejects(waiting, status(4));
  const { connect, client, agent } = running;
  const other = await connect();
  const pending = t.rejects(other.call(agentService.name, 'GetOOMEvent', Buffer.alloc(0)), {
    code: 'ERR_TTRPC_CLOSED',
  });
  t.ok(await agent.GetGuestDetails({}));
  other.close();
  await pending;
  t.ok(client);
});

t.test('what the agent cannot do it refuses by name', async t => {
  const done =
    'CreateContainer StartContainer RemoveContainer ExecProcess SignalProcess WaitProcess StatsContainer '
      .concat(
        'PauseContainer ResumeContainer WriteStdin ReadStdout ReadStderr CloseStdin TtyWinResize ListInterfaces ',
      )
      .concat(
        'ListRoutes GetMetrics CreateSandbox DestroySandbox ReseedRandomDev GetGuestDetails CopyFile GetOOMEvent ',
      )
      .concat('GetVolumeStats SetPolicy RemoveStaleVirtiofsShareMounts')
      .split(' ');
  const refused = agentMethods.filter(method => !done.includes(method));
  t.equal(refused.length + done.length, 42);
  for (const method of refused) {
    const call = running.client.call(agentService.name, method, Buffer.alloc(0));
    await t.rejects(call, status(12, new RegExp(`peerpod-dev-agent does not do ${method}:`)), method);
  }
});

t.test('no mount of a share is ever stale, and a shim that asks hears so', async t => {
  await t.resolves(running.agent.RemoveStaleVirtiofsShareMounts({}));
});

t.test('a policy is taken with a warning that nothing enforces it', async t => {
  await running.agent.SetPolicy({ policy: 'package agent_policy' });
  await until(() => running.log.some(({ msg }) => msg === 'policy received and not enforced'));
  t.match(
    running.log.find(({ msg }) => msg === 'policy received and not enforced'),
    { level: 'warn', bytes: 20 },
  );
});

t.test('a terminal is a pair of pipes, and only a process that asked for one takes a size', async t => {
  const { agent } = running;
  const create = (containerId: string, Terminal: boolean) =>
    agent.CreateContainer({ containerId, OCI: { Process: { Terminal, Args: ['sleep', '300'], Cwd: '/' } } });
  await create('tty', true);
  await create('pipes', false);
  t.ok(await agent.TtyWinResize({ containerId: 'tty', execId: 'tty', row: 24, column: 80 }));
  await t.rejects(
    agent.TtyWinResize({ containerId: 'pipes', execId: 'pipes', row: 1, column: 1 }),
    status(9, /no terminal/),
  );
});
