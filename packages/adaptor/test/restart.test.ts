// SPDX-License-Identifier: Apache-2.0
// An adaptor that comes back: sandboxes answer on the same socket, deletions go on, and nothing on the platform is
// forgotten. The killed process itself is tried in program.test.ts; here every state a crash can leave is written down.
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import {
  annotations,
  dialAgent,
  eventually,
  PORT,
  startRig,
  status,
  temporary,
  type Rig,
} from './kit/adaptor.js';
import { TestProvider } from './kit/provider.js';

const recordsDir = (directory: string): string => path.join(directory, 'pods', '.state', 'sandboxes');
const recordOf = (directory: string, id: string): Record<string, unknown> =>
  JSON.parse(readFileSync(path.join(recordsDir(directory), `${id}.json`), 'utf8'));

/** A directory with one sandbox in it, whose VM runs, as an adaptor that is gone left it. */
async function leftRunning(
  t: Parameters<typeof startRig>[0],
  id: string,
): Promise<{ directory: string; provider: TestProvider }> {
  const directory = temporary(t);
  const provider = new TestProvider(PORT);
  const rig = await startRig(t, { directory, provider });
  await rig.hypervisor.CreateVM({ id, annotations: annotations(), networkNamespacePath: '/run/netns/n' });
  await rig.hypervisor.StartVM({ id });
  await rig.close();
  return { directory, provider };
}

function edit(directory: string, id: string, change: Record<string, unknown>): void {
  const file = path.join(recordsDir(directory), `${id}.json`);
  writeFileSync(file, JSON.stringify({ ...recordOf(directory, id), ...change }));
}

t.test(
  'a running sandbox answers again on the same socket; GetInfo, StopVM and the next sandbox work',
  async t => {
    const { directory, provider } = await leftRunning(t, 'back');
    const rig = await startRig(t, { directory, provider });
    t.match(rig.log.lines(), [
      { msg: 'identity ready', created: false },
      { msg: 'sandboxes loaded', count: 1 },
    ]);
    const shim = await dialAgent(path.join(rig.options.podsDir, 'back', 'agent.ttrpc'));
    t.match(await shim.health.Check({}), { status: 1 });
    const [vm] = provider.vms.keys();
    t.match(await rig.info.GetInfo({ PodName: 'nginx', PodNamespace: 'default' }), { VMID: vm });
    await t.rejects(
      rig.hypervisor.CreateVM({ id: 'back', annotations: annotations(), networkNamespacePath: '' }),
      status(6),
    );
    await rig.hypervisor.StopVM({ id: 'back' });
    t.equal(provider.vms.size, 0);
    await rig.hypervisor.CreateVM({ id: 'next', annotations: annotations(), networkNamespacePath: '' });
    await rig.hypervisor.StartVM({ id: 'next' });
  },
);

t.test('a sandbox that was created but not started can still be started', async t => {
  const directory = temporary(t);
  const provider = new TestProvider(PORT);
  const first = await startRig(t, { directory, provider });
  const { agentSocketPath } = await first.hypervisor.CreateVM({
    id: 'later',
    annotations: annotations(),
    networkNamespacePath: '',
  });
  await first.close();
  const rig = await startRig(t, { directory, provider });
  await rig.hypervisor.StartVM({ id: 'later' });
  t.ok(existsSync(agentSocketPath));
});

t.test('a start that was cut short is taken back, whether its instance was noted or not', async t => {
  const since = new Date().toISOString();
  for (const noted of [true, false]) {
    for (const keepTokens of [true, false]) {
      const { directory, provider } = await leftRunning(t, 'cut');
      const [entry] = provider.vms.values();
      if (entry === undefined) throw new Error('no VM');
      if (!keepTokens) {
        const { token: _token, ...instance } = entry.instance;
        provider.vms.set(instance.id, { ...entry, instance });
      }
      const instance = noted ? entry.instance : null;
      edit(directory, 'cut', { state: { t: 'starting', since, token: 'cut.1', instance } });
      const rig = await startRig(t, { directory, provider });
      t.ok(await eventually(() => provider.vms.size === 0), `noted: ${noted}, tokens: ${keepTokens}`);
      t.ok(await eventually(() => JSON.stringify(recordOf(directory, 'cut')).includes('"token":null')));
      t.match(recordOf(directory, 'cut'), { state: { t: 'failed', reason: /restarted/, instance: null } });
      await rig.hypervisor.StartVM({ id: 'cut' });
      t.equal(provider.specs.length, 2);
      await rig.close();
      await provider.destroy();
    }
  }
});

t.test('a stop that was cut short is finished', async t => {
  const since = new Date().toISOString();
  const { directory, provider } = await leftRunning(t, 'ending');
  const [entry] = provider.vms.values();
  edit(directory, 'ending', {
    state: { t: 'stopping', since, token: null, instance: entry?.instance, trouble: 'x' },
  });
  const rig = await startRig(t, { directory, provider });
  await rig.log.next('sandbox stopped');
  t.equal(provider.vms.size, 0);
  t.strictSame(readdirSync(recordsDir(directory)), []);
});

t.test(
  'what is no record is set aside by name, a flawed one is read, and every VM that runs answers',
  async t => {
    const { directory, provider } = await leftRunning(t, 'good');
    const dir = recordsDir(directory);
    const good = readFileSync(path.join(dir, 'good.json'), 'utf8');
    const bad: Record<string, string> = {
      'cut.json': good.slice(0, good.length / 2),
      'empty.json': '',
      'array.json': '[]',
      'nul.json': '\0'.repeat(400),
      'other.json': good,
      'path.json': good.replace('"good"', '"../../x"'),
    };
    for (const [name, text] of Object.entries(bad)) writeFileSync(path.join(dir, name), text);
    mkdirSync(path.join(dir, 'directory.json'));
    // The VM's addresses are gone from its record: the provider knows them.
    writeFileSync(path.join(dir, 'good.json'), good.replace(/"addresses": \[[^\]]*\]/, '"addresses": 7'));
    // Of a later adaptor, in a state nobody knows yet.
    const later = good.replace('"good"', '"later"').replace('"running"', '"moving"');
    writeFileSync(path.join(dir, 'later.json'), later.replace('"version": 2', '"version": 9'));
    const rig = await startRig(t, { directory, provider });
    const files = readdirSync(dir);
    for (const [name, text] of Object.entries(bad)) {
      const aside = files.find(file => file.startsWith(`${name}.corrupt-`));
      t.ok(aside, name);
      if (aside !== undefined) t.equal(readFileSync(path.join(dir, aside), 'utf8'), text, 'as it was');
    }
    t.strictSame(
      files.filter(file => file.endsWith('.json')),
      ['good.json', 'later.json'],
    );
    const lines = rig.log.lines().filter(line => line.msg === 'sandbox record set aside');
    t.equal(lines.length, Object.keys(bad).length + 1);
    t.ok(lines.every(line => line.level === 'error' && typeof line['file'] === 'string'));
    const repaired = rig.log.lines().filter(line => line.msg === 'sandbox record read with stand-ins');
    t.match(repaired, [
      { sandbox: 'good', repaired: ['state.instance.addresses'] },
      { sandbox: 'later', repaired: [/version 9 of a later adaptor/, 'state.t'] },
    ]);
    for (const id of ['good', 'later']) {
      const socket = path.join(rig.options.podsDir, id, 'agent.ttrpc');
      t.ok(await eventually(() => existsSync(socket)), id);
      const shim = await dialAgent(socket);
      t.match(await shim.health.Check({}), { status: 1 }, id);
    }
    t.match(recordOf(directory, 'good'), { state: { instance: { addresses: [/^127\./] } } });
    const metrics = await (await fetch(`http://${rig.adaptor.statusAddress}/metrics`)).text();
    t.match(metrics, new RegExp(`peerpod_state_files_set_aside ${Object.keys(bad).length + 1}`));
  },
);

t.test('an instance nobody accounts for is reported, not deleted', async t => {
  const { directory, provider } = await leftRunning(t, 'known');
  const file = path.join(recordsDir(directory), 'known.json');
  writeFileSync(file, 'broken');
  const rig = await startRig(t, { directory, provider });
  const [id] = provider.vms.keys();
  t.match(await rig.log.next('instance belongs to no sandbox'), { level: 'warn', instance: id });
  t.equal(provider.vms.size, 1);
  const metrics = await (await fetch(`http://${rig.adaptor.statusAddress}/metrics`)).text();
  t.match(metrics, /peerpod_orphan_instances 1/);
});

t.test('a VM keeps the port it was made with, and a sandbox without one gets what is set now', async t => {
  const { directory, provider } = await leftRunning(t, 'ported');
  const rig = await startRig(t, { directory, provider, flags: ['-forwarder-port=15151'] });
  const shim = await dialAgent(path.join(rig.options.podsDir, 'ported', 'agent.ttrpc'));
  t.match(await shim.health.Check({}), { status: 1 });
  t.match(recordOf(directory, 'ported'), {
    link: { tls: 'automatic', serverName: 'podvm-nginx-ported', port: PORT },
  });
});

t.test('a sandbox created with TLS off gets TLS when the adaptor that starts it has it', async t => {
  const directory = temporary(t);
  const provider = new TestProvider(PORT);
  const first = await startRig(t, { directory, provider, flags: ['-disable-tls'] });
  await first.hypervisor.CreateVM({ id: 'plain', annotations: annotations(), networkNamespacePath: '' });
  await first.close();
  const rig = await startRig(t, { directory, provider });
  await rig.hypervisor.StartVM({ id: 'plain' });
  t.match(await rig.log.next('link verified'), { protocol: 'TLSv1.3', names: ['podvm-nginx-plain'] });
});

t.test('a VM that died while the adaptor was away is told of, and can be stopped', async t => {
  const { directory, provider } = await leftRunning(t, 'dead');
  await provider.only.shutdown();
  const rig = await startRig(t, { directory, provider, flags: ['-proxy-timeout=1s'] });
  t.match(await rig.log.next('resumed sandbox does not answer'), {
    level: 'warn',
    sandbox: 'dead',
    reason: /1000 ms/,
  });
  await rig.hypervisor.StopVM({ id: 'dead' });
  t.equal(provider.vms.size, 0);
});

t.test('a sandbox made in another TLS mode is not reached in this one, and can be stopped', async t => {
  const { directory, provider } = await leftRunning(t, 'secure');
  const rig: Rig = await startRig(t, {
    directory,
    provider,
    flags: ['-disable-tls'],
    timing: { redialBudgetMs: 300 },
  });
  t.match(await rig.log.next('sandbox was made in another TLS mode and will not be reached in this one'), {
    sandbox: 'secure',
  });
  const before = provider.heard.length;
  const shim = await dialAgent(path.join(rig.options.podsDir, 'secure', 'agent.ttrpc'));
  await t.rejects(shim.health.Check({}));
  t.equal(provider.heard.length, before);
  await rig.hypervisor.StopVM({ id: 'secure' });
  t.equal(provider.vms.size, 0);
});
