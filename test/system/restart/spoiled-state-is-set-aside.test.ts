// SPDX-License-Identifier: Apache-2.0
// Records of sandboxes that were cut, emptied, taken away from their owner or written by a newer adaptor: they are put
// aside by name, everything else is served, and the VM of a lost record is told of and left alone.
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { localFlags, startAdaptor } from '../../kit/adaptor-program.js';
import { isRoot, processesOf, temporary } from '../../kit/directory.js';
import { vmsIn } from '../../kit/leftovers.js';
import { run } from '../../kit/program.js';
import { annotations, dialAgent, startPod } from '../../kit/shim.js';

const NOBODY = 65_534;
/** A file of mode 0 stops everybody but root, so as root the programs run as another user. */
const as = isRoot ? { uid: NOBODY } : {};

t.test('what cannot be read is put aside, and the rest is there', { timeout: 60_000 }, async t => {
  const directory = temporary(t);
  if (isRoot) chownSync(directory, NOBODY, NOBODY);
  const records = join(directory, 'pods/.state/sandboxes');
  const first = await startAdaptor(t, directory, [], as);
  const good = await startPod(first.hypervisor, 'good');
  await startPod(first.hypervisor, 'lost');
  const spoiled = ['cut', 'empty', 'unreadable'];
  for (const id of [...spoiled, 'newer'])
    await first.hypervisor.CreateVM({ id, annotations: annotations(id), networkNamespacePath: '' });
  await first.program.kill('SIGKILL');

  const file = (id: string): string => join(records, `${id}.json`);
  const text = (id: string): string => readFileSync(file(id), 'utf8');
  writeFileSync(file('lost'), '{');
  writeFileSync(file('cut'), text('cut').slice(0, 100));
  writeFileSync(file('empty'), '');
  chmodSync(file('unreadable'), 0o000);
  writeFileSync(file('newer'), text('newer').replace('"version": 2', '"version": 99'));
  writeFileSync(file('good'), text('good').replace(/"tls": .*/, '"tls": 7,'));

  const second = await startAdaptor(t, directory, [], as);
  const names = readdirSync(records);
  for (const id of [...spoiled, 'lost']) {
    t.ok(
      names.some(name => name.startsWith(`${id}.json.corrupt-`)),
      `${id} is put aside`,
    );
    const line = second.program
      .lines()
      .find(({ msg, file: told }) => msg === 'sandbox record set aside' && told === file(id));
    t.match(line, { level: 'error', reason: /./ }, `${id}: the log names the file and the reason`);
  }
  const repaired = second.program.lines().filter(({ msg }) => msg === 'sandbox record read with stand-ins');
  t.match(repaired, [
    { sandbox: 'good', repaired: ['link.tls'] },
    { sandbox: 'newer', repaired: [/version 99 of a later adaptor/] },
  ]);
  const { health, client } = await dialAgent(good);
  t.match(await health.Check({}), { status: 1 }, 'a sandbox that runs is served, with a flaw in its record');
  client.close();
  t.match(await second.program.said('instance belongs to no sandbox'), {
    level: 'warn',
    instanceName: /lost/,
  });
  t.equal(vmsIn(directory).length, 2, 'its VM is not deleted behind anybody’s back');
  t.match(await second.get('/metrics'), /^peerpod_orphan_instances 1$/m);
  t.match(await second.get('/metrics'), /^peerpod_state_files_set_aside 4$/m);
  t.match(
    await second.hypervisor.CreateVM({
      id: 'cut',
      annotations: annotations('cut'),
      networkNamespacePath: '',
    }),
    { agentSocketPath: /cut/ },
    'the id can be used again',
  );
  for (const id of ['good', 'newer']) await second.hypervisor.StopVM({ id });
  await second.program.kill('SIGTERM');
  t.ok(processesOf(directory).length > 0, 'the orphan still runs; it ends with this test');
});

t.test('an identity that cannot be read stops the start and is not replaced', async t => {
  const directory = temporary(t);
  if (isRoot) chownSync(directory, NOBODY, NOBODY);
  const first = await startAdaptor(t, directory, [], as);
  await first.program.kill('SIGTERM');
  const key = join(directory, 'pods/.state/identity/ca.key');
  const before = readFileSync(key, 'utf8');
  chmodSync(key, 0o000);
  const refused = await run(t, 'cloud-api-adaptor', localFlags(directory), as);
  t.equal(refused.code, 1);
  t.match(refused.stderr, /^cloud-api-adaptor: .*identity[^]*\n {2}\S/m);
  chmodSync(key, 0o600);
  writeFileSync(key, '');
  const emptied = await run(t, 'cloud-api-adaptor', localFlags(directory), as);
  t.equal(emptied.code, 1);
  t.match(emptied.stderr, /^cloud-api-adaptor: .*identity[^]*\n {2}\S/m);
  t.equal(readFileSync(key, 'utf8'), '', 'nothing was written over it');
  writeFileSync(key, before);
  const again = await startAdaptor(t, directory, [], as);
  t.strictSame(
    (await again.program.said('identity ready'))['authority'],
    (await first.program.said('identity ready'))['authority'],
    'restored, it is the same authority',
  );
});

t.test('a state directory in the way of something else is refused', async t => {
  const directory = temporary(t);
  mkdirSync(join(directory, 'pods'), { mode: 0o700 });
  writeFileSync(join(directory, 'pods/.state'), 'a file');
  const { code, stderr } = await run(t, 'cloud-api-adaptor', localFlags(directory));
  t.equal(code, 1);
  t.match(stderr, /^cloud-api-adaptor: -state-dir cannot be used: .*\.state/m);
  t.notOk(existsSync(join(directory, 'h.sock')));
  t.equal(readFileSync(join(directory, 'pods/.state'), 'utf8'), 'a file');
});
