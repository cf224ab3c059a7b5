// SPDX-License-Identifier: Apache-2.0
// A peer that takes its time with the handshake, one byte a second, is dropped after ten seconds and named; as is one
// that says nothing.
import { once } from 'node:events';
import { connect } from 'node:net';
import t from 'tap';
import { startInProcess } from '../../kit/adaptor-in-process.js';
import { Cable } from '../../kit/cable.js';
import { CabledProvider } from '../../kit/cabled-provider.js';
import { temporary } from '../../kit/directory.js';
import { startPod } from '../../kit/shim.js';
import { onlySlow } from '../../kit/slow.js';

t.test('ten seconds, and no more', onlySlow, async t => {
  const directory = temporary(t);
  const provider = new CabledProvider(t, directory, '127.0.0.1');
  const cable = await Cable.plug(t, '127.0.0.1', 0, provider.far);
  const rig = await startInProcess(t, { directory, provider, port: cable.port });
  await startPod(rig.hypervisor, 'slow');
  const join = async (bytes: Buffer): Promise<number> => {
    const socket = connect(provider.vm.port, '127.0.0.1');
    socket.on('error', () => {}).resume();
    await once(socket, 'connect');
    const began = Date.now();
    let at = 0;
    const drip = setInterval(() => at < bytes.length && socket.write(bytes.subarray(at, ++at)), 1_000);
    await new Promise(resolve => socket.once('close', resolve));
    clearInterval(drip);
    return (Date.now() - began) / 1000;
  };
  const took = await Promise.all([
    join(Buffer.alloc(0)),
    join(Buffer.from('16030100c8010000c40303000000000000000000', 'hex')),
  ]);
  for (const seconds of took) t.ok(seconds > 9 && seconds < 12, `dropped after ${seconds.toFixed(1)} s`);
  const { forwarder } = provider.vm;
  t.match(await forwarder.said('connection refused', line => line['rule'] === 'slow-handshake'), {
    remote: /^127/,
  });
});
