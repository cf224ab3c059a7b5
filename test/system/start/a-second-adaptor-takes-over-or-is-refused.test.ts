// SPDX-License-Identifier: Apache-2.0
// Two adaptors that want the same thing: the state directory, the hypervisor socket, the status port. In a rolling update
// the second one waits for the first, which is told to end only once the second is up; otherwise it says what is taken and
// ends, and the first one and its socket do not notice.
import { join } from 'node:path';
import t from 'tap';
import { localFlags, socketIn, startAdaptor } from '../../kit/adaptor-program.js';
import { freePort } from '../../kit/free-port.js';
import { temporary } from '../../kit/directory.js';
import { Program, run } from '../../kit/program.js';
import { annotations, dialAgent, dialHypervisor } from '../../kit/shim.js';

t.test('the second is refused by name, and the first lives', async t => {
  const directory = temporary(t);
  const first = await startAdaptor(t, directory);
  const other = temporary(t);
  const rows: readonly (readonly [string, readonly string[], RegExp, RegExp])[] = [
    [
      'state',
      [`-socket=${join(other, 'h.sock')}`, '-takeover-timeout=0s'],
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

t.test('a rolling update with surge 1 and unavailable 0 comes to its end', { timeout: 60_000 }, async t => {
  const directory = temporary(t);
  const port = await freePort();
  const flags = [`-status-address=127.0.0.1:${port}`];
  const first = await startAdaptor(t, directory, flags);
  const created = { id: 'stays', annotations: annotations('web'), networkNamespacePath: '' };
  const { agentSocketPath } = await first.hypervisor.CreateVM(created);
  await first.hypervisor.StartVM({ id: 'stays' });

  // What the kubelet sees of both pods on the port of their node; the first is ended when the second is ready.
  const probe = async (): Promise<number> => (await fetch(`http://127.0.0.1:${port}/startup`)).status;
  const answers = async (what: string): Promise<void> => {
    const shim = await dialAgent(agentSocketPath);
    t.match(await shim.health.Check({}), { status: 1 }, what);
    shim.client.close();
  };
  const second = new Program(t, 'cloud-api-adaptor', [...localFlags(directory), ...flags]);
  await second.said('another adaptor uses the state directory, waiting for it to end');
  t.equal(await probe(), 200);
  t.equal(second.child.exitCode, null, 'the second is there and waits');
  await answers('the first serves meanwhile');

  const told = performance.now();
  t.match(await first.program.kill('SIGTERM'), { code: 0 });
  await second.said('adaptor started');
  t.comment(`served again ${Math.round(performance.now() - told)} ms after the SIGTERM`);
  t.equal(await probe(), 200);
  await answers('the same socket, the same VM');

  // And the next one, of a node on which the adaptor was killed.
  const third = new Program(t, 'cloud-api-adaptor', [...localFlags(directory), ...flags]);
  await third.said('another adaptor uses the state directory, waiting for it to end');
  await second.kill('SIGKILL');
  await third.said('adaptor started');
  const shim = await dialHypervisor(socketIn(directory));
  await shim.hypervisor.StopVM({ id: 'stays' });
  shim.client.close();
  t.match(await third.kill('SIGTERM'), { code: 0 });
});
