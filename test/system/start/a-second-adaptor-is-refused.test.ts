// SPDX-License-Identifier: Apache-2.0
// Two adaptors that want the same thing: the state directory, the hypervisor socket, the status port. The second one says
// which and ends; the first one and its socket do not notice.
import { join } from 'node:path';
import t from 'tap';
import { localFlags, socketIn, startAdaptor } from '../../kit/adaptor-program.js';
import { temporary } from '../../kit/directory.js';
import { run } from '../../kit/program.js';
import { dialHypervisor } from '../../kit/shim.js';

t.test('the second is refused by name, and the first lives', async t => {
  const directory = temporary(t);
  const first = await startAdaptor(t, directory);
  const other = temporary(t);
  const rows: readonly (readonly [string, readonly string[], RegExp, RegExp])[] = [
    [
      'state',
      [`-socket=${join(other, 'h.sock')}`],
      /another adaptor is using the state directory/,
      /-state-dir/,
    ],
    [
      'socket',
      [`-pods-dir=${join(other, 'pods')}`],
      new RegExp(`${socketIn(directory)}.*(in use|another|answers|live)`),
      /stop|another|-socket|path/,
    ],
    [
      'status port',
      [
        `-socket=${join(other, 's.sock')}`,
        `-pods-dir=${join(other, 'p2')}`,
        `-status-address=${String(first.started['status'])}`,
      ],
      /cannot serve the status on 127\.0\.0\.1:\d+/,
      /-status-address|PROBE_PORT|port/,
    ],
  ];
  await Promise.all(
    rows.map(async ([what, flags, fact, hint]) => {
      const { code, stderr } = await run(t, 'cloud-api-adaptor', [...localFlags(directory), ...flags]);
      t.equal(code, 1, `${what}: exit code`);
      const [said = '', ...ways] = stderr
        .trimEnd()
        .split('\n')
        .filter(line => !line.startsWith('{'));
      t.match(said, fact, `${what}: fact`);
      t.match(ways.join('\n'), hint, `${what}: way out`);
    }),
  );
  const shim = await dialHypervisor(socketIn(directory));
  t.match(await shim.hypervisor.Version({}), { version: /./ }, "the first one's socket is still its own");
  t.equal(first.program.child.exitCode, null);
  t.match(await first.program.kill('SIGTERM'), { code: 0 });
});
