// SPDX-License-Identifier: Apache-2.0
// Frames that ttrpc does not allow, written to a pod's socket: each is answered or ends its own connection, and neither
// another connection of the same pod nor the adaptor notices.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import {
  decodeResponse,
  encodeFrame,
  encodeRequest,
  FrameDecoder,
  FrameFlag,
  FrameType,
  MAX_MESSAGE_LENGTH,
} from '@peerpod-tls/ttrpc';
import { startInProcess } from '../../kit/adaptor-in-process.js';
import { Cable } from '../../kit/cable.js';
import { CabledProvider } from '../../kit/cabled-provider.js';
import { temporary } from '../../kit/directory.js';
import { header } from '../../kit/raw-agent.js';
import { dialAgent, startContainer, startPod } from '../../kit/shim.js';

const check = encodeRequest({
  service: 'grpc.Health',
  method: 'Check',
  payload: new Uint8Array(0),
  timeoutNano: 0n,
  metadata: [],
});
const checkFrame = (streamId: number): Buffer => encodeFrame({ streamId, type: FrameType.request }, check);

class Raw {
  readonly socket: Socket;
  readonly #decoder = new FrameDecoder();

  constructor(t: Test, path: string) {
    this.socket = connect(path);
    this.socket.on('error', () => {});
    t.teardown(() => this.socket.destroy());
  }

  /** The next answer: its stream, status code and text. */
  async answer(): Promise<{ streamId: number; code: number; text: string }> {
    for (;;) {
      const next = this.#decoder.next();
      if (next?.t === 'frame') {
        const { status } = decodeResponse(next.payload);
        return { streamId: next.streamId, code: status?.code ?? 0, text: status?.message ?? '' };
      }
      const [chunk] = await once(this.socket, 'data');
      this.#decoder.push(chunk);
    }
  }
}

t.test('each frame is answered as the protocol says, and the pod goes on', { timeout: 30_000 }, async t => {
  const directory = temporary(t);
  const provider = new CabledProvider(t, directory, '127.0.0.1');
  const cable = await Cable.plug(t, '127.0.0.1', 0, provider.far);
  const rig = await startInProcess(t, { directory, provider, port: cable.port });
  const path = await startPod(rig.hypervisor, 'frames');
  const neighbour = await dialAgent(path);
  t.teardown(() => neighbour.client.close());
  await startContainer(neighbour.agent, 'c', 'sleep 600');
  const waiting = neighbour.agent.WaitProcess({ containerId: 'c', execId: 'c' });

  await t.test('a message over 4 MiB is refused on its stream, and the next call is answered', async t => {
    const raw = new Raw(t, path);
    raw.socket.write(header(MAX_MESSAGE_LENGTH + 1, 1, FrameType.request));
    for (let left = MAX_MESSAGE_LENGTH + 1; left > 0; left -= 65_536)
      raw.socket.write(Buffer.alloc(Math.min(left, 65_536)));
    raw.socket.write(checkFrame(3));
    t.match(await raw.answer(), { streamId: 1, code: 8, text: /4194305 bytes is over the limit of 4194304/ });
    t.match(await raw.answer(), { streamId: 3, code: 0 });
  });
  await t.test('an even id, an id used before and a lower one are refused', async t => {
    const raw = new Raw(t, path);
    raw.socket.write(
      Buffer.concat([checkFrame(5), checkFrame(2), checkFrame(5), checkFrame(3), checkFrame(7)]),
    );
    const answers = [];
    for (let n = 0; n < 5; n += 1) answers.push(await raw.answer());
    const codes = answers.map(({ streamId, code }) => `${streamId}:${code}`).sort();
    t.strictSame(codes, ['2:3', '3:3', '5:0', '5:3', '7:0']);
  });
  await t.test('data for a stream nobody opened is refused', async t => {
    const raw = new Raw(t, path);
    raw.socket.write(
      encodeFrame({ streamId: 9, type: FrameType.data, flags: FrameFlag.remoteClosed }, check),
    );
    t.match(await raw.answer(), { streamId: 9, code: 3, text: /not open/ });
    raw.socket.write(checkFrame(11));
    t.match(await raw.answer(), { streamId: 11, code: 0 });
  });
  await t.test('a response, or a type nobody knows, is ignored', async t => {
    const raw = new Raw(t, path);
    raw.socket.write(encodeFrame({ streamId: 1, type: FrameType.response }, check));
    raw.socket.write(Buffer.concat([header(3, 1, 200), Buffer.from('abc')]));
    raw.socket.write(checkFrame(1));
    t.match(await raw.answer(), { streamId: 1, code: 0 });
  });
  await t.test('an envelope that is no protobuf is refused by the far end', async t => {
    const raw = new Raw(t, path);
    raw.socket.write(encodeFrame({ streamId: 1, type: FrameType.request }, Buffer.alloc(40, 0xff)));
    const answer = await raw.answer();
    t.equal(answer.streamId, 1);
    t.not(answer.code, 0);
    raw.socket.write(checkFrame(3));
    t.match(await raw.answer(), { streamId: 3, code: 0 });
  });
  await t.test('a service nobody has is Unimplemented', async t => {
    const raw = new Raw(t, path);
    const request = encodeRequest({
      service: 'no.Such',
      method: 'X',
      payload: check,
      timeoutNano: 0n,
      metadata: [],
    });
    raw.socket.write(encodeFrame({ streamId: 1, type: FrameType.request }, request));
    t.match(await raw.answer(), { streamId: 1, code: 12 });
  });
  for (const [what, bytes] of [
    ['garbage', Buffer.alloc(64, 0xff)],
    ['a TLS hello', Buffer.from('16030100c8010000c4030300', 'hex')],
    ['half a header', header(20, 1, FrameType.request).subarray(0, 5)],
    ['a header and half a message', Buffer.concat([header(20, 1, FrameType.request), Buffer.alloc(7)])],
    ['nothing at all', Buffer.alloc(0)],
  ] as const) {
    await t.test(`${what}, then the end: the connection closes`, async t => {
      const raw = new Raw(t, path);
      await once(raw.socket, 'connect');
      raw.socket.resume();
      raw.socket.end(bytes);
      await once(raw.socket, 'close');
      t.pass('closed');
    });
  }
  await t.test('cut into single bytes, a call is still a call', async t => {
    const raw = new Raw(t, path);
    raw.socket.setNoDelay(true);
    for (const byte of checkFrame(1)) {
      raw.socket.write(Buffer.from([byte]));
      await new Promise(resolve => setImmediate(resolve));
    }
    t.match(await raw.answer(), { streamId: 1, code: 0 });
  });

  t.match(await neighbour.health.Check({}), { status: 1 }, "the neighbour's connection never noticed");
  await neighbour.agent.SignalProcess({ containerId: 'c', execId: 'c', signal: 9 });
  t.match(await waiting, { status: 137 });
  t.notOk(
    rig.lines().some(line => line.level === 'error'),
    'no error of the adaptor',
  );
});
