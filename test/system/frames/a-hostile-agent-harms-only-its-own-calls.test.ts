// SPDX-License-Identifier: Apache-2.0
// A pod VM whose agent sends what nobody asked for, too much, or half of it. The relays of both daemons stand between it
// and the shim.
import t from 'tap';
import { MAX_MESSAGE_LENGTH, FrameType } from '@peerpod-tls/ttrpc';
import { startInProcess } from '../../kit/adaptor-in-process.js';
import { Cable } from '../../kit/cable.js';
import { CabledProvider } from '../../kit/cabled-provider.js';
import { temporary } from '../../kit/directory.js';
import { header, responseFrame, startRawAgent, type RawCall } from '../../kit/raw-agent.js';
import { dialAgent, startPod, status } from '../../kit/shim.js';

const tooMuch = MAX_MESSAGE_LENGTH + 1;

const misdeeds: Readonly<Record<string, (call: RawCall) => void>> = {
  // Answers to calls that were never made, and frames a server never sends; then the right answer.
  GetMetrics: ({ socket, streamId, proper }) => {
    socket.write(responseFrame(streamId + 1000, Buffer.alloc(100)));
    socket.write(responseFrame(0));
    socket.write(responseFrame(streamId + 1));
    socket.write(Buffer.concat([header(4, streamId, FrameType.request), Buffer.alloc(4)]));
    socket.write(Buffer.concat([header(4, streamId, 77), Buffer.alloc(4)]));
    socket.write(proper);
    // And the same answer once more.
    socket.write(proper);
  },
  // More than a message may have.
  GetDiagnosticData: ({ socket, streamId }) => {
    socket.write(header(tooMuch, streamId, FrameType.response));
    for (let left = tooMuch; left > 0; left -= 65_536) socket.write(Buffer.alloc(Math.min(left, 65_536)));
  },
  // Ends in the middle of an answer that was short enough to be held back until it is whole.
  ListRoutes: ({ socket, streamId }) => {
    socket.write(Buffer.concat([header(1000, streamId, FrameType.response), Buffer.alloc(10)]), () =>
      socket.destroy(),
    );
  },
  // Ends in the middle of a header.
  ListInterfaces: ({ socket, proper }) => {
    socket.write(proper.subarray(0, 6), () => socket.destroy());
  },
  // Ends in the middle of an answer so long that its beginning is with the shim already.
  GetIPTables: ({ socket, streamId }) => {
    socket.write(Buffer.concat([header(400_000, streamId, FrameType.response), Buffer.alloc(300_000)]), () =>
      socket.destroy(),
    );
  },
  // An answer that is no protobuf.
  GetVolumeStats: ({ socket, streamId }) => {
    socket.write(Buffer.concat([header(20, streamId, FrameType.response), Buffer.alloc(20, 0xff)]));
  },
};

t.test('what an agent does wrong ends where it belongs', { timeout: 30_000 }, async t => {
  const directory = temporary(t);
  const provider = new CabledProvider(t, directory, '127.0.0.1', {
    boot: async vm => {
      await vm.provision();
      await startRawAgent(t, vm.agentSocket, misdeeds);
      await vm.startForwarder();
    },
  });
  const cable = await Cable.plug(t, '127.0.0.1', 0, provider.far);
  const rig = await startInProcess(t, { directory, provider, port: cable.port });
  const path = await startPod(rig.hypervisor, 'hostile');
  const shim = await dialAgent(path);
  t.teardown(() => shim.client.close());
  let closed = false;
  void shim.client.closed.then(() => (closed = true));

  t.same((await shim.agent.GetMetrics({})).metrics, '', 'answers nobody asked for do not reach the shim');
  await t.rejects(shim.agent.GetDiagnosticData({}), status(8, /4194305 bytes is over the limit/));
  await t.rejects(shim.agent.GetVolumeStats({}), { code: /^ERR_TTRPC/ }, 'what is no answer is no success');
  t.match(await shim.health.Check({}), { status: 1 }, 'the connection goes on');
  await t.rejects(shim.agent.ListRoutes({}), status(14, /kata-agent/));
  t.match(await shim.health.Check({}), { status: 1 }, 'over a new link, below the same connection');
  await t.rejects(shim.agent.ListInterfaces({}), status(14, /kata-agent/));
  t.match(await shim.health.Check({}), { status: 1 });
  t.notOk(closed);

  await t.rejects(
    shim.agent.GetIPTables({}),
    { code: 'ERR_TTRPC_CLOSED' },
    'half an answer never looks whole',
  );
  t.match(await rig.said('shim connection closed'), { why: 'cut-response', sandbox: 'hostile' });
  const next = await dialAgent(path);
  t.teardown(() => next.client.close());
  t.match(await next.health.Check({}), { status: 1 }, 'and the next connection works');
  t.equal(provider.vm.forwarder.child.exitCode, null, 'the forwarder lives');
  await rig.hypervisor.StopVM({ id: 'hostile' });
});
