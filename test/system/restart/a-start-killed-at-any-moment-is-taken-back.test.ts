// SPDX-License-Identifier: Apache-2.0
// SIGKILL of the adaptor at ten moments of a StartVM whose shim does not wait for the next adaptor. After the next start the sandbox is known and in a state that tells
// the truth, no VM is left that nobody knows of, and StopVM takes away all of it.
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { startAdaptor, type RunningAdaptor } from '../../kit/adaptor-program.js';
import { processesOf, temporary } from '../../kit/directory.js';
import { leftovers, nothing, vmsIn } from '../../kit/leftovers.js';
import { proxiesOf } from '../../kit/proxies.js';
import { annotations, startPod } from '../../kit/shim.js';

/** A line of the log, and how much later, in milliseconds. The 700 ms after the user-data are the boot of the VM. */
const MOMENTS: readonly (readonly [string, number])[] = [
  ['sandbox created', 0],
  ['certificate issued', 0],
  ['user-data built', 0],
  ['user-data built', 5],
  ['user-data built', 60],
  ['user-data built', 300],
  ['instance created', 0],
  ['link verified', 0],
  ['agent answered', 0],
  ['sandbox started', 0],
];

interface Shown {
  readonly id: string;
  readonly state: string;
  readonly instance: string;
}

const shown = async (adaptor: RunningAdaptor, id: string): Promise<Shown | undefined> =>
  JSON.parse(await adaptor.get('/sandboxes')).sandboxes.find((row: Shown) => row.id === id);

t.test('ten moments, one after the other', { timeout: 120_000 }, async t => {
  const directory = temporary(t);
  let adaptor = await startAdaptor(t, directory);
  for (const [index, [msg, ms]] of MOMENTS.entries()) {
    const id = `moment${index}`;
    const name = `${ms} ms after "${msg}"`;
    const seen = adaptor.program.said(msg, line => line['sandbox'] === id);
    await adaptor.hypervisor.CreateVM({ id, annotations: annotations('p'), networkNamespacePath: '' });
    const starting = adaptor.hypervisor.StartVM({ id });
    starting.catch(() => {});
    await seen;
    if (ms > 0) await sleep(ms);
    await adaptor.program.kill('SIGKILL');
    adaptor.client.close();
    adaptor = await startAdaptor(t, directory);
    let row = await shown(adaptor, id);
    t.match(row?.state, /^(created|running|failed)$/, `${name}: it is remembered`);
    if (row?.state === 'running') {
      t.equal(vmsIn(directory).length, 1, `${name}: it runs`);
    } else {
      const end = Date.now() + 10_000;
      while (vmsIn(directory).length > 0 && Date.now() < end) await sleep(20);
      t.strictSame(vmsIn(directory), [], `${name}: its VM was taken back`);
      t.strictSame(
        processesOf(directory).filter(
          ({ pid }) => pid !== adaptor.program.pid && !proxiesOf(directory).includes(pid),
        ),
        [],
        `${name}: and its processes`,
      );
      do row = await shown(adaptor, id);
      while (row?.state === 'failed' && row.instance !== '' && Date.now() < end);
      if (index === 5) await t.resolves(adaptor.hypervisor.StartVM({ id }), 'and it can be started again');
    }
    await adaptor.hypervisor.StopVM({ id });
    t.strictSame(vmsIn(directory), [], `${name}: StopVM leaves nothing`);
    t.notOk(
      adaptor.program.lines().some(line => line.msg === 'instance belongs to no sandbox'),
      `${name}: no VM nobody knows`,
    );
  }
  t.match(await adaptor.program.kill('SIGTERM'), { code: 0 });
  t.strictSame(await leftovers(directory), nothing);
});

t.test('a VM of which there is no more than an empty directory is taken back too', async t => {
  const directory = temporary(t);
  const first = await startAdaptor(t, directory);
  await startPod(first.hypervisor, 'whole');
  const owner = readdirSync(join(directory, 'vms')).find(name => name !== 'addresses') ?? '';
  await first.hypervisor.CreateVM({ id: 'early', annotations: annotations('p'), networkNamespacePath: '' });
  const seen = first.program.said('certificate issued', line => line['sandbox'] === 'early');
  first.hypervisor.StartVM({ id: 'early' }).catch(() => {});
  await seen;
  await first.program.kill('SIGKILL');
  first.client.close();
  // The crash may have come a moment later, between the making of the directory and the first file in it.
  const id = createHash('sha256').update('early.1').digest('hex').slice(0, 12);
  rmSync(join(directory, 'vms', owner, id), { recursive: true, force: true });
  mkdirSync(join(directory, 'vms', owner, id), { mode: 0o700 });
  const second = await startAdaptor(t, directory);
  t.match(await second.program.said('instance deleted'), { sandbox: 'early', instance: id });
  t.equal(vmsIn(directory).length, 1, 'and only that one');
  for (const sandbox of ['early', 'whole']) await second.hypervisor.StopVM({ id: sandbox });
  await second.program.kill('SIGTERM');
  t.strictSame(await leftovers(directory), nothing);
});
