// SPDX-License-Identifier: Apache-2.0
// Kept bytes against the plainest model there is: one long buffer.
import t from 'tap';
import { KeptBytes } from '../../src/session/kept-bytes.js';
import { SLAB_BYTES, slabs, smallSlabs } from '../../src/relay/slabs.js';
import { Random } from '../support/random.js';

function read(kept: KeptBytes, from: number): Buffer {
  const parts: Buffer[] = [];
  for (let at = from; at < kept.end;) {
    const part = kept.at(at);
    if (part === null) throw new Error(`nothing at ${at} of ${kept.end}`);
    parts.push(Buffer.from(part));
    at += part.length;
  }
  return Buffer.concat(parts);
}

t.test('what is kept is what was added or given, wherever it is read from', async t => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const random = new Random(seed);
    const kept = new KeptBytes();
    let model = Buffer.alloc(0);
    for (let step = 0; step < 60; step += 1) {
      const size = random.below(random.chance(0.3) ? 150_000 : 2_000);
      const bytes = random.bytes(size);
      if (random.chance(0.4)) {
        const length = Math.min(size, SLAB_BYTES);
        const slab = slabs.take();
        bytes.copy(slab, 0, 0, length);
        kept.give(slab, length);
        model = Buffer.concat([model, bytes.subarray(0, length)]);
      } else {
        const from = random.below(size + 1);
        kept.add(bytes, from, size);
        model = Buffer.concat([model, bytes.subarray(from)]);
      }
      if (random.chance(0.5)) kept.release(kept.begin + random.below(kept.length + 1));
      const from = kept.begin + random.below(kept.length + 1);
      if (kept.end !== model.length || !read(kept, from).equals(model.subarray(from)))
        throw new Error(`seed ${seed}, step ${step}`);
    }
    kept.release(kept.end);
    t.equal(kept.length, 0);
    t.equal(kept.at(kept.end), null);
  }
});

t.test('memory goes back with the last byte, and may be anybody else’s then', async t => {
  const kept = new KeptBytes();
  kept.add(Buffer.from('hello'), 0, 5);
  const view = kept.at(0);
  kept.release(5);
  const slab = smallSlabs.take();
  t.equal(slab.buffer, view?.buffer, 'the small slab that was held is the next one taken');
  smallSlabs.give(slab);
  kept.add(Buffer.alloc(SLAB_BYTES), 0, SLAB_BYTES);
  const large = kept.at(5);
  kept.release(kept.end);
  const other = slabs.take();
  t.equal(other.buffer, large?.buffer, 'and so it is with a large one');
  slabs.give(other);
  kept.add(Buffer.from('again'), 0, 5);
  t.equal(String(kept.at(kept.begin)), 'again');
  kept.clear();
  t.equal(kept.length, 0);
});

t.test('a place that is not kept cannot be released', async t => {
  const kept = new KeptBytes();
  kept.add(Buffer.from('hello'), 0, 5);
  kept.release(3);
  t.throws(() => kept.release(2), { message: /2 is not among 3 to 5/ });
  t.throws(() => kept.release(6), { message: /6 is not among 3 to 5/ });
});
