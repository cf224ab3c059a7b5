// SPDX-License-Identifier: Apache-2.0
// The writing half with real sockets: whatever it is given is overwritten as soon as it returns, and the far end sees what
// was meant all the same.
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import t, { type Test } from 'tap';
import { Outlet } from '../../src/relay/outlet.js';
import { SLAB_BYTES, slabs } from '../../src/relay/slabs.js';
import { Far, unixServer } from '../support/frames.js';
import { dial, listen, makeWorld } from '../support/tls.js';

const world = await makeWorld();
const turn = (): Promise<void> => new Promise(resolve => void setImmediate(resolve));

const kinds: Record<string, (t: Test) => Promise<{ near: Duplex; far: Duplex }>> = {
  'a Unix socket': async t => {
    const accepted: Socket[] = [];
    const server = await unixServer(socket => void accepted.push(socket));
    const near = await server.connect();
    while (accepted[0] === undefined) await turn();
    t.teardown(server.close);
    t.teardown(() => void near.destroy());
    return { near, far: accepted[0] };
  },
  'a TLS link': async t => {
    const servers: Socket[] = [];
    const listener = await listen(world, { onPeer: peer => void servers.push(peer.socket) });
    const { socket: near } = await dial(world, listener.address().port);
    while (servers[0] === undefined) await turn();
    const [far] = servers;
    t.teardown(() => {
      near.destroy();
      far.destroy();
      return listener.close();
    });
    return { near, far };
  },
};

/** Lends bytes for the time of one call, as a reader does. */
class Lender {
  readonly #lent = Buffer.alloc(SLAB_BYTES);
  readonly #sent: Buffer[] = [];
  #next = 0;

  lend(length: number, act: (bytes: Buffer, length: number) => void): void {
    for (let i = 0; i < length; i++) this.#lent[i] = this.#next++ % 253;
    this.#sent.push(Buffer.from(this.#lent.subarray(0, length)));
    act(this.#lent, length);
    this.#lent.fill(0xdb);
  }

  get sent(): Buffer {
    return Buffer.concat(this.#sent);
  }
}

for (const [kind, make] of Object.entries(kinds)) {
  t.test(
    `${kind}: lent bytes arrive as they were, however busy it is and however slowly it is read`,
    async t => {
      const { near, far } = await make(t);
      const outlet = new Outlet(near);
      const lender = new Lender();
      let drained = 0;
      outlet.onDrained = () => void drained++;
      // Far more than the kernel takes, in sizes that split and share slabs, some in one turn and some not.
      for (let i = 0; i < 400; i++) {
        const length = [1, 130, 16_384, SLAB_BYTES, 40_000][i % 5] ?? 1;
        lender.lend(length, (bytes, to) => {
          outlet.begin(length);
          if (i % 3 === 0) {
            outlet.pass(bytes, 0, to >> 1, true, true);
            outlet.pass(bytes, to >> 1, to, true, false);
          } else outlet.pass(bytes, 0, to, true, false);
          outlet.end(length);
        });
        if (i % 40 === 0) await turn();
      }
      t.ok(outlet.full, 'nobody reads yet');
      const { sent } = lender;
      const reader = new Far(far);
      const seen = await reader.byteCount(sent.length);
      t.equal(seen.compare(sent), 0);
      await drained;
      t.equal(outlet.queued, 0);
      t.notOk(outlet.full);
    },
  );

  t.test(`${kind}: frames that were given whole, inserted and passed keep their order`, async t => {
    const { near, far } = await make(t);
    const outlet = new Outlet(near);
    const reader = new Far(far);
    outlet.pass(Buffer.from('head-'), 0, 5, false, false);
    outlet.insert(Buffer.from('[inserted]'));
    t.ok(outlet.midFrame);
    outlet.pass(Buffer.from('xtailx'), 1, 5, true, false);
    const slab = slabs.take();
    slab.write('given half ');
    outlet.give(slab, 11, false);
    outlet.insert(Buffer.from('[waits]'));
    const other = slabs.take();
    other.write('and half');
    outlet.give(other, 8, true);
    const expected = 'head-tail[inserted]given half and half[waits]';
    t.equal((await reader.byteCount(expected.length)).toString(), expected);
  });

  t.test(`${kind}: what waits when it is flushed is written before the stream ends`, async t => {
    const { near, far } = await make(t);
    const outlet = new Outlet(near);
    const lender = new Lender();
    for (let i = 0; i < 60; i++)
      lender.lend(SLAB_BYTES, (bytes, to) => outlet.pass(bytes, 0, to, true, false));
    outlet.flush();
    near.end();
    const reader = new Far(far);
    await reader.ended();
    t.equal(reader.bytes.compare(lender.sent), 0);
  });
}

t.test(
  'slabs are used again once they are written: a quarter of a gigabyte passes through a few',
  async t => {
    const taken = new Set<Buffer>();
    const take = slabs.take.bind(slabs);
    slabs.take = () => {
      const slab = take();
      taken.add(slab);
      return slab;
    };
    t.teardown(() => void (slabs.take = take));
    for (const make of Object.values(kinds)) {
      const { near, far } = await make(t);
      far.resume();
      const outlet = new Outlet(near);
      const lent = Buffer.alloc(SLAB_BYTES);
      for (let i = 0; i < 2_048; i++) {
        outlet.pass(lent, 0, SLAB_BYTES, true, false);
        while (outlet.full) await turn();
      }
      while (outlet.queued > 0) await turn();
    }
    t.ok(taken.size < 30, `${taken.size} slabs`);
  },
);
