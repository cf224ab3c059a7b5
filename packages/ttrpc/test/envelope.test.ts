// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import { decodeRequest, decodeResponse, encodeRequest, errorOfResponse } from '../src/envelope.js';
import { encodeResponse, statusEnvelope } from '../src/response-envelope.js';
import { StatusError } from '../src/errors.js';
import { vectors } from './support/vectors.js';
import { spaced } from './support/hex.js';

for (const vector of vectors('requests')) {
  t.test(`request, ${vector.name}: ${vector.outcome}, because ${vector.reason}`, async t => {
    const bytes = Buffer.from(vector.hex, 'hex');
    if (vector.request === undefined) {
      t.throws(() => decodeRequest(bytes), { code: 'ERR_TTRPC_BAD_REQUEST' });
      return;
    }
    const want = {
      ...vector.request,
      payload: Buffer.from(vector.request.payload, 'hex'),
      timeoutNano: BigInt(vector.request.timeoutNano),
    };
    const got = decodeRequest(bytes);
    t.strictSame({ ...got, payload: Buffer.from(got.payload) }, want);
    const again = decodeRequest(encodeRequest(got));
    t.strictSame({ ...again, payload: Buffer.from(again.payload) }, want, 'and after a round trip');
  });
}

for (const vector of vectors('responses')) {
  t.test(`response, ${vector.name}: ${vector.outcome}, because ${vector.reason}`, async t => {
    const bytes = Buffer.from(vector.hex, 'hex');
    if (vector.outcome === 'bad-response') {
      t.throws(() => decodeResponse(bytes), { code: 'ERR_TTRPC_BAD_RESPONSE' });
      return;
    }
    const response = decodeResponse(bytes);
    t.equal(Buffer.from(response.payload).toString('hex'), vector.payload);
    const error = errorOfResponse(response);
    if (vector.outcome === 'ok') {
      t.equal(error, null);
      return;
    }
    t.match(error, { code: 'ERR_TTRPC_STATUS', status: vector.code, message: vector.message });
    const details = (error?.details ?? []).map(({ typeUrl, value }) => ({
      typeUrl,
      value: Buffer.from(value).toString('hex'),
    }));
    t.strictSame(details, vector.details ?? []);
    const again =
      error === null ? null : errorOfResponse(decodeResponse(encodeResponse(statusEnvelope(error))));
    t.match(again, { status: vector.code, message: vector.message });
  });
}

t.test('a request is written as Go writes it: fields in order, defaults left out', async t => {
  const hex = encodeRequest({
    service: 'a.B',
    method: 'C',
    payload: Buffer.from([7]),
    timeoutNano: 2n,
    metadata: [{ key: 'k', value: 'v' }],
  }).toString('hex');
  t.equal(hex, spaced('0a03612e42 120143 1a0107 2002 2a060a016b120176'));
  const empty = encodeRequest({
    service: '',
    method: '',
    payload: Buffer.alloc(0),
    timeoutNano: 0n,
    metadata: [],
  });
  t.equal(empty.length, 0);
});

t.test('a response without status carries none on the wire', async t => {
  t.equal(encodeResponse({ status: null, payload: Buffer.alloc(0) }).length, 0);
  t.equal(encodeResponse({ status: null, payload: Buffer.from([9]) }).toString('hex'), '120109');
  const long = Buffer.alloc(70_000, 1);
  t.ok(Buffer.from(decodeResponse(encodeResponse({ status: null, payload: long })).payload).equals(long));
});

t.test('a timeout that does not fit 64 bits is our own mistake', async t => {
  const request = { service: 's', method: 'm', payload: Buffer.alloc(0), metadata: [] };
  t.throws(() => encodeRequest({ ...request, timeoutNano: 2n ** 63n }), RangeError);
  t.throws(() => encodeRequest({ ...request, timeoutNano: -(2n ** 63n) - 1n }), RangeError);
  t.equal(decodeRequest(encodeRequest({ ...request, timeoutNano: -(2n ** 63n) })).timeoutNano, -(2n ** 63n));
});

t.test('text that is not well-formed UTF-16 is sent as valid UTF-8', async t => {
  const bytes = encodeResponse(statusEnvelope(new StatusError(2, 'half a pair: \ud800')));
  t.equal(decodeResponse(bytes).status?.message, 'half a pair: \ufffd');
});
