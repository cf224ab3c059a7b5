// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import { decodeRequest, encodeRequest } from '../src/envelope.js';
import { MAX_MESSAGE_LENGTH } from '../src/frame.js';
import {
  peekRequestTarget,
  peekResponseCode,
  readRequestPayload,
  replaceRequestPayload,
} from '../src/peek.js';
import { vectors } from './support/vectors.js';
import { spaced } from './support/hex.js';

for (const vector of vectors('requests')) {
  t.test(`${vector.name}: ${vector.outcome}, because ${vector.reason}`, async t => {
    const bytes = Buffer.from(vector.hex, 'hex');
    // Twice, because the second time may be answered from the names seen before.
    for (const time of ['first', 'second']) {
      const got = peekRequestTarget(bytes, true);
      if (vector.request === undefined) {
        t.strictSame(got, { t: 'bad' }, `${time} time`);
      } else {
        const { service, method } = vector.request;
        t.strictSame(got, { t: 'target', target: { service, method } }, `${time} time`);
      }
    }
    if (vector.request === undefined) {
      // UTF-8 is checked where names are read; the payload can be found without.
      if (!vector.name.includes('UTF-8'))
        t.throws(() => readRequestPayload(bytes), { code: 'ERR_TTRPC_BAD_REQUEST' });
      return;
    }
    t.equal(Buffer.from(readRequestPayload(bytes)).toString('hex'), vector.request.payload);
    const message = Buffer.from('another message');
    const replaced = decodeRequest(replaceRequestPayload(bytes, message));
    t.strictSame(
      { ...replaced, payload: Buffer.from(replaced.payload), timeoutNano: replaced.timeoutNano.toString() },
      { ...vector.request, payload: message },
      'all else stays',
    );
  });
  t.test(`${vector.name}, cut anywhere, gives no wrong answer`, async t => {
    const bytes = Buffer.from(vector.hex, 'hex');
    const seen = new Set<string>();
    for (let cut = 0; cut <= bytes.length; cut++) {
      const got = peekRequestTarget(bytes.subarray(0, cut), false);
      if (got.t === 'target') seen.add(`${got.target.service}/${got.target.method}`);
      else if (got.t === 'more') t.equal(seen.size, 0, 'no step back from a target');
    }
    if (vector.request !== undefined && !vector.name.includes('repeated after')) {
      const { service, method } = vector.request;
      t.ok(seen.size === 0 || seen.has(`${service}/${method}`));
      t.equal(seen.size, service === '' ? 0 : 1);
    }
  });
}

t.test('the target is told as soon as both names are there, before the payload is', async t => {
  const request = { service: 'grpc.AgentService', method: 'WriteStdin', timeoutNano: 0n, metadata: [] };
  const whole = encodeRequest({ ...request, payload: Buffer.alloc(1_000_000) });
  const names = 2 + request.service.length + 2 + request.method.length;
  t.strictSame(peekRequestTarget(whole.subarray(0, names - 1), false), { t: 'more' });
  t.match(peekRequestTarget(whole.subarray(0, names), false), {
    t: 'target',
    target: { method: 'WriteStdin' },
  });
  t.match(peekRequestTarget(whole.subarray(0, names + 3), false), { t: 'target' });
});

t.test('the same names give the same object, without reading them again', async t => {
  const head = (payload: string): Buffer =>
    encodeRequest({
      service: 'grpc.AgentService',
      method: 'ReadStdout',
      payload: Buffer.from(payload),
      timeoutNano: 5n,
      metadata: [],
    });
  const first = peekRequestTarget(head('a'), true);
  t.equal(peekRequestTarget(head('another'), true), first);
  t.equal(peekRequestTarget(head('x').subarray(0, 35), false), first);
  t.equal(peekRequestTarget(new Uint8Array(head('bare')), true), first, 'from a plain Uint8Array as well');
});

t.test('names that fall on the same place in the table never answer for each other', async t => {
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 2000; i++) {
      const method = `Method${i}`;
      const bytes = encodeRequest({
        service: 's.S',
        method,
        payload: Buffer.alloc(0),
        timeoutNano: 0n,
        metadata: [],
      });
      const got = peekRequestTarget(bytes, true);
      if (got.t !== 'target' || got.target.method !== method)
        t.fail(`${method} was taken for something else`);
    }
  }
  t.pass('4000 look-ups over 2000 names');
});

t.test('a name of more than 1024 bytes is refused without waiting for it', async t => {
  const service = 's'.repeat(1024);
  const fine = encodeRequest({
    service,
    method: 'M',
    payload: Buffer.alloc(0),
    timeoutNano: 0n,
    metadata: [],
  });
  t.match(peekRequestTarget(fine, true), { t: 'target', target: { service } });
  t.strictSame(peekRequestTarget(Buffer.from([0x0a, 0x81, 0x08]), false), { t: 'bad' });
});

t.test('a replaced payload keeps place and neighbours, unknown fields among them', async t => {
  const envelope = Buffer.from(spaced('0a0173 48ac02 12016d 1a026f6c 1a03646c64 2005'), 'hex');
  t.equal(
    replaceRequestPayload(envelope, Buffer.from('new!')).toString('hex'),
    spaced('0a0173 48ac02 12016d 1a046e657721 2005'),
    'of two payload fields the last is replaced and the first is gone',
  );
  t.equal(
    replaceRequestPayload(Buffer.from('0a017312016d2005', 'hex'), Buffer.from('n')).toString('hex'),
    spaced('0a017312016d2005 1a016e'),
    'a payload that was missing comes last',
  );
  t.equal(
    replaceRequestPayload(Buffer.from('0a0173', 'hex'), Buffer.alloc(0)).toString('hex'),
    '0a0173',
    'nothing in place of nothing is nothing',
  );
  t.equal(replaceRequestPayload(Buffer.from('1a0178', 'hex'), Buffer.alloc(0)).toString('hex'), '1a00');
});

t.test('a payload that makes the request too long for a frame is refused', async t => {
  const envelope = Buffer.from('0a017312016d', 'hex');
  const room = MAX_MESSAGE_LENGTH - envelope.length - 5;
  t.equal(replaceRequestPayload(envelope, Buffer.alloc(room)).length, MAX_MESSAGE_LENGTH);
  t.throws(() => replaceRequestPayload(envelope, Buffer.alloc(room + 1)), {
    code: 'ERR_TTRPC_OVERSIZE',
    message: /4194305 bytes is over the limit of 4194304/,
  });
});

for (const vector of vectors('responses')) {
  t.test(
    `the code of a response, ${vector.name}: ${String(vector.peek)}, because ${vector.reason}`,
    async t => {
      const bytes = Buffer.from(vector.hex, 'hex');
      t.equal(peekResponseCode(bytes), vector.peek);
      for (let cut = 1; cut < bytes.length; cut++) {
        const code = peekResponseCode(bytes.subarray(0, cut));
        if (code !== null && code !== vector.peek) t.fail(`cut at ${cut} tells ${code}`);
      }
    },
  );
}
