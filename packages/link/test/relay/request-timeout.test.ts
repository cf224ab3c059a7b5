// SPDX-License-Identifier: Apache-2.0
// The deadline in a request envelope, against the real encoder and against bytes that are no envelope.
import t from 'tap';
import { encodeRequest } from '@peerpod-tls/ttrpc';
import { readTimeoutMs } from '../../src/relay/request-timeout.js';

const envelope = (timeoutNano: bigint) =>
  encodeRequest({
    service: 's',
    method: 'm',
    payload: Buffer.alloc(300),
    timeoutNano,
    metadata: [{ key: 'k', value: 'v' }],
  });

t.test('a timeout is read in milliseconds', async t => {
  t.equal(readTimeoutMs(envelope(60_000_000_000n)), 60_000);
  t.equal(readTimeoutMs(envelope(0x7fffffffffffffffn)), 9_223_372_036_854);
});

t.test('no timeout, a negative one and bytes that are no envelope are none', async t => {
  t.equal(readTimeoutMs(envelope(0n)), null);
  t.equal(readTimeoutMs(envelope(-5n)), null);
  const whole = envelope(5_000_000n);
  for (let at = 0; at < whole.length; at++) t.doesNotThrow(() => readTimeoutMs(whole.subarray(0, at)));
  t.equal(readTimeoutMs(Buffer.from('ffffffffffffffffffffffff', 'hex')), null);
  t.equal(readTimeoutMs(Buffer.from('1affffffff0f', 'hex')), null);
});
