// SPDX-License-Identifier: Apache-2.0
// Two hundred CreateVM at once, a restart with all of them, and as many StopVM: every answer right, and nothing left.
import t from 'tap';
import { startAdaptor } from '../../kit/adaptor-program.js';
import { residentMiB, temporary } from '../../kit/directory.js';
import { leftovers, nothing } from '../../kit/leftovers.js';
import { annotations } from '../../kit/shim.js';

const COUNT = 200;

t.test('all are there, survive a SIGKILL, and go', { timeout: 60_000 }, async t => {
  const directory = temporary(t);
  const ids = Array.from({ length: COUNT }, (_, n) => `sandbox-${n}`);
  const create = (id: string) => ({ id, annotations: annotations('many'), networkNamespacePath: '' });
  const first = await startAdaptor(t, directory, [`-created-limit=${COUNT}`]);
  const began = performance.now();
  const paths = await Promise.all(ids.map(id => first.hypervisor.CreateVM(create(id))));
  t.comment(`${COUNT} CreateVM in ${Math.round(performance.now() - began)} ms`);
  t.equal(new Set(paths.map(({ agentSocketPath }) => agentSocketPath)).size, COUNT);
  const again = await Promise.all(ids.map(id => first.hypervisor.CreateVM(create(id))));
  t.strictSame(again, paths, 'asked again, a sandbox that was not started is the same one');
  const rows: readonly { readonly name: string }[] = JSON.parse(await first.get('/sandboxes')).sandboxes;
  t.equal(rows.length, COUNT);
  t.equal(
    new Set(rows.map(({ name }) => name)).size,
    COUNT,
    'VM names are their own, also for pods of one name',
  );
  await first.program.kill('SIGKILL');

  const restart = performance.now();
  const second = await startAdaptor(t, directory, [`-created-limit=${COUNT}`]);
  t.comment(`started with ${COUNT} sandboxes in ${Math.round(performance.now() - restart)} ms`);
  t.equal(JSON.parse(await second.get('/sandboxes')).sandboxes.length, COUNT);
  t.match(await second.get('/metrics'), /^peerpod_sandboxes{state="created"} 200$/m);
  const stopping = performance.now();
  await Promise.all(ids.map(id => second.hypervisor.StopVM({ id })));
  t.comment(`${COUNT} StopVM in ${Math.round(performance.now() - stopping)} ms`);
  t.comment(`resident ${residentMiB(second.program.pid).toFixed(0)} MiB`);
  t.match(await second.program.kill('SIGTERM'), { code: 0 });
  t.strictSame(await leftovers(directory), nothing);
});
