// SPDX-License-Identifier: Apache-2.0
// What happens to a sandbox when callers leave, providers fail, and things are asked for twice.
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { annotations, dialAgent, eventually, PORT, startRig, status, type Rig } from './kit/adaptor.js';
import type { Provider } from '../../providers/src/provider.js';
import { TestProvider } from './kit/provider.js';

const create = (rig: Rig, id: string, more: Record<string, string> = {}, pod = 'nginx'): Promise<unknown> =>
  rig.hypervisor.CreateVM({ id, annotations: annotations(pod, 'default', more), networkNamespacePath: '' });
const records = (rig: Rig): string[] => readdirSync(path.join(rig.directory, 'pods', '.state', 'sandboxes'));

t.test('ids that cannot name a directory are refused, and nothing is made for them', async t => {
  const rig = await startRig(t);
  const before = readdirSync(rig.directory).concat(readdirSync(path.join(rig.directory, 'pods')));
  for (const id of [
    '',
    '..',
    '.',
    '.state',
    '../x',
    'a/b',
    'a\0b',
    '-rf',
    'x'.repeat(129),
    'ä',
    ' a',
    'a\n',
  ]) {
    await t.rejects(create(rig, id), status(3), JSON.stringify(id.slice(0, 20)));
  }
  const { podsDir } = rig.options;
  await t.rejects(
    create(rig, 'x'.repeat(107 - podsDir.length - '/agent.ttrpc'.length)),
    status(3, /-pods-dir/),
  );
  await create(rig, 'x'.repeat(106 - podsDir.length - '/agent.ttrpc'.length));
  t.strictSame(readdirSync(rig.directory).concat(readdirSync(podsDir)), before);
});

t.test('a pod without name or namespace is refused, naming the annotation', async t => {
  const rig = await startRig(t);
  await t.rejects(create(rig, 'a', {}, ''), status(3, /io\.kubernetes\.cri\.sandbox-name/));
  await t.rejects(
    rig.hypervisor.CreateVM({
      id: 'a',
      annotations: { 'io.kubernetes.cri.sandbox-name': 'x' },
      networkNamespacePath: '',
    }),
    status(3, /sandbox-namespace/),
  );
  t.strictSame(records(rig), []);
});

t.test(
  'a second CreateVM of the same id changes nothing of the first, also when both come at once',
  async t => {
    const rig = await startRig(t);
    const both = await Promise.allSettled([create(rig, 'twin'), create(rig, 'twin', {}, 'other')]);
    t.strictSame(both.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected']);
    await rig.hypervisor.StartVM({ id: 'twin' });
    await t.rejects(create(rig, 'twin'), status(6));
    t.equal(rig.provider.vms.size, 1);
    const shim = await dialAgent(path.join(rig.options.podsDir, 'twin', 'agent.ttrpc'));
    t.match(await shim.health.Check({}), { status: 1 });
    shim.client.close();
  },
);

t.test('sandboxes whose ids begin alike get VMs with names of their own', async t => {
  const rig = await startRig(t);
  for (const id of ['sandbox-one', 'sandbox-two']) {
    await create(rig, id);
    await rig.hypervisor.StartVM({ id });
  }
  const names = rig.provider.specs.map(spec => spec.name);
  t.equal(names[0], 'podvm-nginx-sandbox');
  t.match(names[1], /^podvm-nginx-[0-9a-f]{8}$/);
});

t.test(
  'calls about a sandbox nobody made are NotFound; a StopVM asked again after it worked is not',
  async t => {
    const rig = await startRig(t);
    await t.rejects(rig.hypervisor.StartVM({ id: 'nobody' }), status(5));
    await t.rejects(rig.hypervisor.StopVM({ id: 'nobody' }), status(5));
    await create(rig, 'some');
    await rig.hypervisor.StopVM({ id: 'some' });
    await rig.hypervisor.StopVM({ id: 'some' });
    t.strictSame(records(rig), []);
    await create(rig, 'some');
    await rig.hypervisor.StartVM({ id: 'some' });
    await rig.hypervisor.StartVM({ id: 'some' });
    t.equal(rig.provider.vms.size, 1, 'StartVM of a running sandbox starts no other');
  },
);

t.test('a StopVM whose caller leaves at once still deletes the VM', async t => {
  const rig = await startRig(t);
  await create(rig, 'left');
  await rig.hypervisor.StartVM({ id: 'left' });
  let release = (): void => {};
  rig.provider.holdDelete = new Promise(resolve => (release = resolve));
  await t.rejects(rig.hypervisor.StopVM({ id: 'left' }, { timeoutMs: 30 }), status(4));
  rig.client.close();
  t.equal(rig.provider.vms.size, 1, 'the cloud is slow');
  release();
  await rig.log.next('sandbox stopped');
  t.equal(rig.provider.vms.size, 0);
  t.strictSame(records(rig), []);
});

t.test('a deletion that fails is told to the caller, shown, and tried again until it is done', async t => {
  const rig = await startRig(t, { timing: { deletionRetryMs: 30 } });
  await create(rig, 'stuck');
  await rig.hypervisor.StartVM({ id: 'stuck' });
  rig.provider.failDelete = 3;
  await t.rejects(
    rig.hypervisor.StopVM({ id: 'stuck' }),
    status(14, /could not be deleted: the cloud is away.*tried again/),
  );
  const shown: unknown = await (await fetch(`http://${rig.adaptor.statusAddress}/sandboxes`)).json();
  t.match(shown, { sandboxes: [{ id: 'stuck', state: 'stopping', error: 'the cloud is away' }] });
  await t.rejects(create(rig, 'stuck'), status(6), 'its id is not free yet');
  await t.rejects(rig.hypervisor.StartVM({ id: 'stuck' }), status(9));
  await rig.log.next('sandbox stopped');
  t.equal(rig.provider.vms.size, 0);
  t.equal(rig.log.lines().filter(line => line.msg === 'instance not deleted').length, 3);
});

t.test('a StopVM during the pause after a failed deletion tries at once', async t => {
  const rig = await startRig(t, { timing: { deletionRetryMs: 60_000 } });
  await create(rig, 'again');
  await rig.hypervisor.StartVM({ id: 'again' });
  rig.provider.failDelete = 1;
  await t.rejects(rig.hypervisor.StopVM({ id: 'again' }), status(14));
  await rig.hypervisor.StopVM({ id: 'again' });
  t.equal(rig.provider.vms.size, 0);
});

t.test('a start that fails on the platform takes its instance back, and may be tried again', async t => {
  const rig = await startRig(t);
  await create(rig, 'flaky');
  rig.provider.failCreate = 1;
  await t.rejects(rig.hypervisor.StartVM({ id: 'flaky' }), { message: /quota is used up/ });
  rig.provider.failAfterCreate = 1;
  await t.rejects(rig.hypervisor.StartVM({ id: 'flaky' }), { message: /disk was not attached/ });
  t.equal(rig.provider.vms.size, 0, 'what the failed creation left is deleted');
  const shown: unknown = await (await fetch(`http://${rig.adaptor.statusAddress}/sandboxes`)).json();
  t.match(shown, { sandboxes: [{ id: 'flaky', state: 'failed', error: /disk was not attached/ }] });
  await rig.hypervisor.StartVM({ id: 'flaky' });
  t.equal(rig.provider.vms.size, 1);
  t.not(rig.provider.specs[0]?.userData, rig.provider.specs[2]?.userData, 'with a certificate of its own');
});

t.test(
  'an instance that a failed creation did not tell of is found by its token, or else by its name',
  async t => {
    for (const keepTokens of [true, false]) {
      const provider = new TestProvider(PORT);
      provider.keepTokens = keepTokens;
      const { createInstance } = provider;
      provider.createInstance = async (spec, options) => {
        await createInstance.call(provider, spec, options);
        throw new Error('the connection to the cloud was lost');
      };
      const rig = await startRig(t, { provider });
      await create(rig, 'lost');
      await t.rejects(rig.hypervisor.StartVM({ id: 'lost' }), { message: /connection to the cloud/ });
      t.equal(provider.vms.size, 0, `tokens kept: ${keepTokens}`);
      await rig.close();
    }
  },
);

t.test('a start whose caller leaves deletes the VM that comes too late', async t => {
  const rig = await startRig(t);
  await create(rig, 'late');
  let release = (): void => {};
  rig.provider.hold = new Promise(resolve => (release = resolve));
  const start = rig.hypervisor.StartVM({ id: 'late' }, { timeoutMs: 1000 });
  start.catch(() => undefined);
  t.ok(await eventually(() => rig.provider.specs.length === 1), 'the cloud is at it');
  await t.rejects(start, status(4));
  release();
  await rig.log.next('instance deleted');
  t.equal(rig.provider.vms.size, 0);
  t.notOk(existsSync(path.join(rig.options.podsDir, 'late', 'agent.ttrpc')));
});

t.test('a VM that never answers fails the start at -proxy-timeout and is deleted', async t => {
  const provider = new TestProvider(PORT);
  provider.boot = false;
  const rig = await startRig(t, { provider, flags: ['-proxy-timeout=1s'] });
  await create(rig, 'mute');
  await t.rejects(rig.hypervisor.StartVM({ id: 'mute' }), status(14, /1000 ms/));
  t.equal(provider.vms.size, 0);
});

t.test('StopVM during a start ends the start and deletes what it made', async t => {
  const provider = new TestProvider(PORT);
  provider.boot = false;
  const rig = await startRig(t, { provider, flags: ['-proxy-timeout=1m'] });
  await create(rig, 'hasty');
  const start = rig.hypervisor.StartVM({ id: 'hasty' });
  start.catch(() => undefined);
  await rig.log.next('instance created');
  await t.rejects(rig.hypervisor.StartVM({ id: 'hasty' }), status(10), 'a second start is refused');
  await rig.hypervisor.StopVM({ id: 'hasty' });
  await t.rejects(start);
  t.equal(provider.vms.size, 0);
  t.strictSame(records(rig), []);
});

t.test('closing during a start deletes its VM; closing with a running sandbox leaves it', async t => {
  const provider = new TestProvider(PORT);
  const rig = await startRig(t, { provider, flags: ['-proxy-timeout=1m'] });
  await create(rig, 'stays');
  await rig.hypervisor.StartVM({ id: 'stays' });
  provider.boot = false;
  await create(rig, 'goes', {}, 'other');
  const start = rig.hypervisor.StartVM({ id: 'goes' });
  start.catch(() => undefined);
  await t.resolves(rig.log.next('instance created'));
  await eventually(() => provider.vms.size === 2);
  await rig.close();
  t.strictSame(
    [...provider.vms.values()].map(({ instance }) => instance.name),
    ['podvm-nginx-stays'],
  );
  t.ok(existsSync(path.join(rig.options.podsDir, 'stays', 'agent.ttrpc')), 'its socket stays open');
  rig.client.close();
  await t.rejects(
    start,
    { code: 'ERR_TTRPC_CLOSED' },
    'the shim was told nothing: the next adaptor is asked',
  );
});

t.test("GetInfo answers at once or waits, and its wait ends with the caller's", async t => {
  const rig = await startRig(t);
  const pod = { PodName: 'nginx', PodNamespace: 'default' };
  await t.rejects(rig.info.GetInfo(pod), status(5));
  const early = rig.info.GetInfo({ ...pod, Wait: true });
  await create(rig, 'web');
  await t.rejects(rig.info.GetInfo(pod), status(5), 'a sandbox without a VM');
  const late = rig.info.GetInfo({ ...pod, Wait: true });
  await rig.hypervisor.StartVM({ id: 'web' });
  const [id] = rig.provider.vms.keys();
  t.match(await Promise.all([early, late, rig.info.GetInfo(pod)]), [
    { VMID: id },
    { VMID: id },
    { VMID: id },
  ]);
  await t.rejects(
    rig.info.GetInfo({ ...pod, PodNamespace: 'other', Wait: true }, { timeoutMs: 30 }),
    status(4),
  );
});

t.test('Version is what upstream answers', async t => {
  const rig = await startRig(t);
  t.match(await rig.hypervisor.Version({ version: '1' }), { version: '0.0.0' });
});

t.test("a cut link is replaced under the shim's open connection", async t => {
  const rig = await startRig(t);
  await create(rig, 'cut');
  await rig.hypervisor.StartVM({ id: 'cut' });
  const shim = await dialAgent(path.join(rig.options.podsDir, 'cut', 'agent.ttrpc'));
  const waiting = shim.agent.WaitProcess({ containerId: 'c', execId: 'e' });
  waiting.catch(() => undefined);
  await shim.health.Check({});
  await rig.provider.only.cut();
  t.match(await shim.health.Check({}), { status: 1 });
  const line = await rig.log.next('link redialled');
  t.match(line, { sandbox: 'cut', replayed: 1, failed: 0 });
  shim.client.close();
  const metrics = await (await fetch(`http://${rig.adaptor.statusAddress}/metrics`)).text();
  t.match(metrics, /peerpod_redials_total\{result="ok"\} 1/);
  t.match(metrics, /peerpod_certificates_issued_total 1/);
  t.match(metrics, /peerpod_sandboxes\{state="running"\} 1/);
  t.match(metrics, /peerpod_certificate_expiry_seconds\{kind="leaf"\} \d{7}/);
});

t.test("a VM that is gone for good ends the shim's connection, and StopVM still works", async t => {
  const rig = await startRig(t, { timing: { redialBudgetMs: 300 } });
  await create(rig, 'gone');
  await rig.hypervisor.StartVM({ id: 'gone' });
  const shim = await dialAgent(path.join(rig.options.podsDir, 'gone', 'agent.ttrpc'));
  await shim.health.Check({});
  await rig.provider.only.shutdown();
  await shim.client.closed;
  t.match(await rig.log.next('shim connection closed'), {
    sandbox: 'gone',
    level: 'warn',
    why: 'upstream-lost',
  });
  await rig.hypervisor.StopVM({ id: 'gone' });
  t.equal(rig.provider.vms.size, 0);
});

t.test(
  'CreateContainer reaches the agent with the annotations GPUs need, and without OCI it is refused',
  async t => {
    const rig = await startRig(t);
    await create(rig, 'gpu');
    await rig.hypervisor.StartVM({ id: 'gpu' });
    const shim = await dialAgent(path.join(rig.options.podsDir, 'gpu', 'agent.ttrpc'));
    await t.rejects(shim.agent.CreateContainer({ containerId: 'x' }), status(3, /OCI/));
    const gpus = 'io.katacontainers.config.hypervisor.default_gpus';
    await shim.agent.CreateContainer({
      containerId: 'x',
      OCI: { Annotations: { [gpus]: '1', own: 'kept' }, Linux: {} },
    });
    t.strictSame(rig.provider.only.created[0]?.annotations, {
      [gpus]: '1',
      own: 'kept',
      'cdi.k8s.io/peer-pods': 'nvidia.com/gpu=all',
    });
    shim.client.close();
  },
);

t.test('closing does not wait for calls of shims, and ends none', async t => {
  const rig = await startRig(t, { flags: ['-drain-timeout=1m'] });
  await create(rig, 'busy');
  await rig.hypervisor.StartVM({ id: 'busy' });
  const shim = await dialAgent(path.join(rig.options.podsDir, 'busy', 'agent.ttrpc'));
  const waiting = shim.agent.WaitProcess({ containerId: 'c', execId: 'e' });
  waiting.catch(() => undefined);
  t.ok(await eventually(() => rig.provider.heard.includes('WaitProcess')));
  const began = Date.now();
  await rig.close();
  t.ok(Date.now() - began < 10_000, 'long before the drain time is over');
  t.match(await shim.health.Check({}), { status: 1 }, 'its connection goes on');
  shim.client.close();
  await t.rejects(waiting);
  t.equal(rig.provider.vms.size, 1, 'the VM runs on');
});

t.test('a namespace path that is none is refused', async t => {
  const rig = await startRig(t);
  await t.rejects(
    rig.hypervisor.CreateVM({ id: 'a', annotations: annotations(), networkNamespacePath: 'x'.repeat(5000) }),
    status(3),
  );
  t.strictSame(records(rig), []);
});

t.test('twenty sandboxes at once each get their own VM, certificate and socket', async t => {
  const rig = await startRig(t, { flags: ['-proxy-timeout=30s', '-peerpods-limit-per-node=-1'] });
  const ids = Array.from({ length: 20 }, (_, at) => `many-${at}`);
  await Promise.all(
    ids.map(async id => {
      await create(rig, id);
      await rig.hypervisor.StartVM({ id });
      const shim = await dialAgent(path.join(rig.options.podsDir, id, 'agent.ttrpc'));
      await shim.health.Check({});
      shim.client.close();
    }),
  );
  t.equal(new Set(rig.provider.specs.map(spec => spec.name)).size, ids.length);
  const issued = rig.log.lines().filter(line => line.msg === 'certificate issued');
  t.equal(new Set(issued.map(line => line['fingerprint'])).size, ids.length);
  await Promise.all(ids.map(id => rig.hypervisor.StopVM({ id })));
  t.equal(rig.provider.vms.size, 0);
  t.strictSame(records(rig), []);
});

t.test('with -data-path-threads each sandbox has its thread, and the status server says which', async t => {
  const rig = await startRig(t, { flags: ['-data-path-threads=2'] });
  const ids = ['one', 'two'];
  for (const id of ids) {
    await create(rig, id);
    await rig.hypervisor.StartVM({ id });
    const shim = await dialAgent(path.join(rig.options.podsDir, id, 'agent.ttrpc'));
    t.match(await shim.health.Check({}), { status: 1 });
    shim.client.close();
  }
  const get = async (what: string): Promise<string> =>
    (await fetch(`http://${rig.adaptor.statusAddress}${what}`)).text();
  const { sandboxes } = JSON.parse(await get('/sandboxes'));
  t.match(sandboxes, [
    // Whether the end of its connection has been seen by now is another matter.
    { id: 'one', shim: { thread: 1, state: /unknown|connected/ } },
    { id: 'two', shim: { thread: 2, state: /unknown|connected/ } },
  ]);
  const metrics = await get('/metrics');
  t.match(metrics, /peerpod_calls_total\{method="Check",code="ok"\} 2\n/);
  t.match(metrics, /peerpod_data_path_sandboxes\{thread="1"\} 1\n.*\{thread="2"\} 1\n/);
  for (const id of ids) await rig.hypervisor.StopVM({ id });
  t.equal(rig.provider.vms.size, 0);
});

t.test('StopVM and StartVM in one breath leave nothing, whichever comes first', async t => {
  const rig = await startRig(t);
  for (let at = 0; at < 10; at += 1) {
    const id = `breath-${at}`;
    await create(rig, id);
    const calls = [
      (): Promise<unknown> => rig.hypervisor.StopVM({ id }),
      (): Promise<unknown> => rig.hypervisor.StartVM({ id }),
    ];
    const [stopped] = await Promise.allSettled(
      (at % 2 === 0 ? calls : calls.toReversed()).map(call => call()),
    );
    if (at % 2 === 0) t.equal(stopped?.status, 'fulfilled');
  }
  t.equal(rig.provider.vms.size, 0);
  t.strictSame(records(rig), []);
  t.notMatch(rig.log.text(), /internal error/);
});

t.test(
  'an instance without an address, and one that dies while it is waited for, end a start at once',
  async t => {
    const provider = new TestProvider(PORT);
    const rig = await startRig(t, { provider, flags: ['-proxy-timeout=20s'] });
    const made = provider.createInstance.bind(provider);
    provider.createInstance = async (spec, o) => ({ ...(await made(spec, o)), addresses: [] });
    await create(rig, 'nowhere');
    await t.rejects(rig.hypervisor.StartVM({ id: 'nowhere' }), status(2, /has no address to dial/));
    t.match(await rig.log.next('sandbox not started'), { err: { code: 'ERR_ADAPTOR_NO_ADDRESS' } });
    t.equal(provider.vms.size, 0, 'it is deleted all the same');

    provider.createInstance = made;
    provider.boot = false;
    const dying: Provider = provider;
    dying.diagnose = async () => ({ alive: false, console: 'kernel panic: no root' });
    await create(rig, 'dead');
    const began = performance.now();
    await t.rejects(rig.hypervisor.StartVM({ id: 'dead' }), status(2, /died while it was waited for$/));
    t.ok(performance.now() - began < 10_000, 'long before -proxy-timeout');
    t.match(
      rig.log.lines().findLast(({ msg }) => msg === 'sandbox not started'),
      {
        err: { code: 'ERR_ADAPTOR_INSTANCE_DEAD', hint: /kernel panic/ },
      },
    );
  },
);
