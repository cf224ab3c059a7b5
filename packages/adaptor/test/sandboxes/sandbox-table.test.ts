// SPDX-License-Identifier: Apache-2.0
// Memory and disk in step, also when the disk fails.
import t from 'tap';
import { SandboxTable } from '../../src/sandboxes/sandbox-table.js';
import { toFailed, toStarting, toStopping, withInstance, type Sandbox } from '../../src/sandboxes/sandbox.js';

const link = { tls: 'automatic', serverName: 's', port: 1 } as const;

const sandbox = (id: string): Sandbox => ({
  id,
  spec: {
    pod: 'p',
    namespace: 'n',
    instanceType: '',
    image: '',
    vcpus: 0,
    memoryMiB: 0,
    gpus: 0,
    initdata: '',
  },
  networkNamespace: '',
  instanceName: 's',
  link,
  createdAt: '2026-01-01T00:00:00.000Z',
  leaf: null,
  generation: 0,
  state: { t: 'created', since: '2026-01-01T00:00:00.000Z' },
});

/** A disk that notes what it wrote and fails on demand; each write takes a turn of the event loop. */
function disk(): {
  written: string[];
  failing: boolean;
  save(s: Sandbox): Promise<void>;
  remove(id: string): Promise<void>;
} {
  const self = {
    written: [] as string[],
    failing: false,
    async save(s: Sandbox): Promise<void> {
      await new Promise(resolve => setImmediate(resolve));
      if (self.failing) throw new Error('disk full');
      self.written.push(`${s.id}:${s.state.t}:${s.generation}`);
    },
    async remove(id: string): Promise<void> {
      if (self.failing) throw new Error('disk full');
      self.written.push(`${id}:removed`);
    },
  };
  return self;
}

const now = new Date('2026-01-02T00:00:00Z');

t.test('a full disk leaves no trace of a new sandbox and no change of an old one', async t => {
  const files = disk();
  const table = new SandboxTable(files);
  files.failing = true;
  await t.rejects(table.add(sandbox('a')), { message: 'disk full' });
  t.equal(table.get('a'), undefined);
  files.failing = false;
  t.equal(await table.add(sandbox('a')), true);
  files.failing = true;
  await t.rejects(
    table.change('a', row => toStarting(row, row.link, now)),
    { message: 'disk full' },
  );
  t.equal(table.get('a')?.state.t, 'created');
  t.match(await table.force('a', row => toStopping(row, now)), { message: 'disk full' });
  t.equal(table.get('a')?.state.t, 'stopping', 'what must happen happens without the disk');
  await t.rejects(table.remove('a'));
  t.equal(table.size, 0);
});

t.test('changes of one sandbox are written in the order they were asked for', async t => {
  const files = disk();
  const table = new SandboxTable(files);
  await table.add(sandbox('a'));
  await Promise.all([1, 2, 3, 4].map(() => table.change('a', row => toStarting(row, row.link, now))));
  t.strictSame(files.written, [
    'a:created:0',
    'a:starting:1',
    'a:starting:2',
    'a:starting:3',
    'a:starting:4',
  ]);
  t.match(table.get('a'), { generation: 4, state: { token: 'a.4' } });
});

t.test('of two additions of one id at once, one is told no', async t => {
  const table = new SandboxTable(disk());
  t.strictSame(await Promise.all([table.add(sandbox('a')), table.add(sandbox('a'))]), [true, false]);
});

t.test('who waits for a change is woken by one and freed by its signal', async t => {
  const table = new SandboxTable(disk());
  const woken = table.nextChange(new AbortController().signal);
  await table.add(sandbox('a'));
  await woken;
  const end = new AbortController();
  const waiting = table.nextChange(end.signal);
  end.abort(new Error('gave up'));
  await t.rejects(waiting, { message: 'gave up' });
  await t.rejects(table.nextChange(end.signal), { message: 'gave up' });
});

t.test('a failed start remembers what is left of it, until that is gone', async t => {
  const instance = { id: 'i-1', name: 'n', addresses: ['127.0.0.2'] };
  const started = withInstance(toStarting(sandbox('a'), link, now), instance);
  t.match(toFailed(started, 'why', false, now).state, { reason: 'why', token: 'a.1', instance });
  t.match(toFailed(started, 'why', true, now).state, { token: null, instance: null });
  t.match(toStopping(started, now).state, { token: 'a.1', instance });
  t.throws(() => withInstance(sandbox('a'), instance), /internal error/);
});
