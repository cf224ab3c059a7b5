// SPDX-License-Identifier: Apache-2.0
// Decoder, scanner and envelope against whatever bytes there are: they answer, or refuse with an error of ours.
import * as fc from 'fast-check';
import t from 'tap';
import { decodeRequest, decodeResponse, encodeRequest } from '../src/envelope.js';
import type { RequestEnvelope } from '../src/envelope.js';
import { TtrpcError } from '../src/errors.js';
import { FrameDecoder } from '../src/frame-decoder.js';
import { encodeFrame } from '../src/frame.js';
import {
  peekRequestTarget,
  peekResponseCode,
  readRequestPayload,
  replaceRequestPayload,
} from '../src/peek.js';
import { encodeResponse } from '../src/response-envelope.js';
import { bytesOf, vectors } from './support/vectors.js';

const runs = { numRuns: Number(process.env['PEERPOD_FUZZ_RUNS'] ?? 2000) };

const blob = fc.uint8Array({ maxLength: 200 }).map(bytes => Buffer.from(bytes));
const text = fc.string({ unit: 'binary', maxLength: 20 });
const envelope: fc.Arbitrary<RequestEnvelope> = fc.record({
  service: text,
  method: text,
  payload: blob,
  timeoutNano: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  metadata: fc.array(fc.record({ key: text, value: text }), { maxLength: 4 }),
});
const frame = fc.record({
  streamId: fc.nat({ max: 0xffff_ffff }),
  type: fc.nat({ max: 255 }),
  flags: fc.nat({ max: 255 }),
  payload: blob,
});

/** Valid bytes with a few of them changed, inserted, removed or cut off: close to valid is where bugs are. */
function mutated(valid: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  const change = fc.record({ at: fc.nat(), kind: fc.nat({ max: 3 }), byte: fc.nat({ max: 255 }) });
  return fc.tuple(valid, fc.array(change, { maxLength: 6 })).map(([bytes, changes]) => {
    let result = Buffer.from(bytes);
    for (const { at, kind, byte } of changes) {
      const where = result.length === 0 ? 0 : at % result.length;
      if (kind === 0 && result.length > 0) result[where] = byte;
      else if (kind === 1)
        result = Buffer.concat([result.subarray(0, where), Buffer.of(byte), result.subarray(where)]);
      else if (kind === 2) result = Buffer.concat([result.subarray(0, where), result.subarray(where + 1)]);
      else if (kind === 3) result = result.subarray(0, where);
    }
    return result;
  });
}

const seeds = fc.constantFrom(
  ...[...vectors('requests'), ...vectors('responses')].map(vector => Buffer.from(vector.hex, 'hex')),
);
const anyEnvelope = fc.oneof(blob, mutated(envelope.map(encodeRequest)), mutated(seeds));

/** The result, or null when it was refused in our own words; any other error passes through and fails the test. */
function attempt<T>(run: () => T): T | null {
  try {
    return run();
  } catch (error) {
    if (error instanceof TtrpcError) return null;
    throw error;
  }
}

function pieces(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const result: Buffer[] = [];
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    result.push(bytes.subarray(at, at + size));
    at += size;
  }
  return result;
}

/** Everything a decoder says about these pieces, with a bound on how often it may speak. */
function decodeAll(chunks: readonly Buffer[], total: number): string[] {
  const decoder = new FrameDecoder();
  const said: string[] = [];
  for (const chunk of chunks) {
    decoder.push(chunk);
    for (let next = decoder.next(); next !== null; next = decoder.next()) {
      said.push(
        next.t === 'frame'
          ? `${next.streamId} ${next.type} ${next.flags} ${next.payload.toString('hex')}`
          : next.t,
      );
      if (next.t === 'tls') return said;
      if (said.length > total) throw new Error('more frames than bytes');
    }
  }
  return [...said, decoder.midFrame ? 'incomplete' : 'between frames'];
}

const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 });

t.test('frames survive encoding, any cutting, and decoding', async t => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 8 }), sizes, (frames, cuts) => {
      const bytes = Buffer.concat(frames.map(({ payload, ...header }) => encodeFrame(header, payload)));
      const said = decodeAll(pieces(bytes, cuts), bytes.length);
      const want = frames.map(f => `${f.streamId} ${f.type} ${f.flags} ${f.payload.toString('hex')}`);
      t.strictSame(said, [...want, 'between frames']);
    }),
    { numRuns: 300 },
  );
});

t.test('whatever bytes arrive, in whatever pieces, the decoder says the same', async t => {
  const framed = fc
    .array(frame, { maxLength: 4 })
    .map(frames => Buffer.concat(frames.map(({ payload, ...header }) => encodeFrame(header, payload))));
  const seeded = fc.constantFrom(
    ...vectors('frames').flatMap(v =>
      v.input.every(part => typeof part === 'string') ? [Buffer.concat(v.input.map(bytesOf))] : [],
    ),
  );
  fc.assert(
    fc.property(fc.oneof(blob, mutated(framed), mutated(seeded)), sizes, (bytes, cuts) => {
      const want = decodeAll([bytes], bytes.length);
      const got = decodeAll(pieces(bytes, cuts), bytes.length);
      return want.join() === got.join();
    }),
    runs,
  );
  t.pass();
});

t.test('request envelopes survive a round trip', async t => {
  fc.assert(
    fc.property(envelope, request => {
      const got = decodeRequest(encodeRequest(request));
      return (
        got.service === clean(request.service) &&
        got.method === clean(request.method) &&
        got.timeoutNano === request.timeoutNano &&
        request.payload.every((byte, i) => got.payload[i] === byte) &&
        got.payload.length === request.payload.length &&
        JSON.stringify(got.metadata) ===
          JSON.stringify(request.metadata.map(({ key, value }) => ({ key: clean(key), value: clean(value) })))
      );
    }),
    runs,
  );
  t.pass();
});

function clean(value: string): string {
  return Buffer.from(value).toString();
}

t.test('decoder and scanner agree about every request, valid or not', async t => {
  let accepted = 0;
  let refused = 0;
  fc.assert(
    fc.property(anyEnvelope, bytes => {
      const decoded = attempt(() => decodeRequest(bytes));
      const peeked = peekRequestTarget(bytes, true);
      const payload = attempt(() => readRequestPayload(bytes));
      if (decoded === null) {
        refused++;
        // The scanner does not look inside metadata, so it may accept what the decoder does not; never the reverse.
        return true;
      }
      accepted++;
      if (peeked.t !== 'target' || payload === null) return false;
      return (
        peeked.target.service === decoded.service &&
        peeked.target.method === decoded.method &&
        Buffer.compare(payload, decoded.payload) === 0
      );
    }),
    runs,
  );
  t.ok(accepted > 100 && refused > 100, `${accepted} accepted, ${refused} refused`);
});

t.test('a replaced payload is the new one, and all else is as it was', async t => {
  fc.assert(
    fc.property(anyEnvelope, blob, (bytes, message) => {
      const before = attempt(() => decodeRequest(bytes));
      const replaced = attempt(() => replaceRequestPayload(bytes, message));
      if (before === null) return true;
      if (replaced === null) return false;
      const after = decodeRequest(replaced);
      return (
        Buffer.compare(after.payload, message) === 0 &&
        after.service === before.service &&
        after.method === before.method &&
        after.timeoutNano === before.timeoutNano &&
        JSON.stringify(after.metadata) === JSON.stringify(before.metadata)
      );
    }),
    runs,
  );
  t.pass();
});

t.test(
  'a scanner given a beginning says more or the truth, and never anything about half a name',
  async t => {
    fc.assert(
      fc.property(envelope, fc.nat(), (request, at) => {
        const bytes = encodeRequest(request);
        const got = peekRequestTarget(bytes.subarray(0, at % (bytes.length + 1)), false);
        if (got.t === 'more') return true;
        return (
          got.t === 'target' &&
          got.target.service === clean(request.service) &&
          got.target.method === clean(request.method)
        );
      }),
      runs,
    );
    t.pass();
  },
);

t.test('responses decode or are refused, and the peeked code of what senders write is right', async t => {
  const response = fc
    .record({
      status: fc.option(fc.record({ code: fc.integer(), message: text, details: fc.constant([]) })),
      payload: blob,
    })
    .map(encodeResponse);
  fc.assert(
    fc.property(fc.oneof(blob, mutated(response), mutated(seeds)), bytes => {
      const decoded = attempt(() => decodeResponse(bytes));
      const peeked = peekResponseCode(bytes);
      return peeked === null || Number.isInteger(peeked)
        ? decoded === null || typeof decoded === 'object'
        : false;
    }),
    runs,
  );
  fc.assert(
    fc.property(response, bytes => peekResponseCode(bytes) === (decodeResponse(bytes).status?.code ?? 0)),
    runs,
  );
  t.pass();
});
