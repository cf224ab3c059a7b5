// SPDX-License-Identifier: Apache-2.0
import { X509Certificate } from 'node:crypto';
import { selfSignedClient } from '@peerpod-tls/certs';
import t from 'tap';
import { withOddDate } from './kit/certificates.js';
import { captureLog, eventually } from '../../../test/kit/log.js';
import { expiryOf, type Expiry } from '../src/expiries.js';
import { watchExpiries } from '../src/expiry-watch.js';

const DAY_MS = 86_400_000;
const start = Date.UTC(2030, 0, 1);
const told = (log: ReturnType<typeof captureLog>): string[] =>
  log.lines().map(line => `${line.msg} ${String(line['kind'])} ${String(line['days'])}`);

t.test('a stepped clock is noticed within a look: near its end, past it, and back again', async t => {
  let now = start;
  const client: Expiry = { kind: 'client', subject: 'O=x', notAfter: new Date(start + 40 * DAY_MS) };
  const log = captureLog();
  const watch = watchExpiries(() => [client], log.log, { now: () => now, lookMs: 5 });
  t.strictSame(told(log), [], 'far from its end nothing is said');
  now += 11 * DAY_MS;
  await log.next('certificate expires soon');
  t.strictSame(told(log), ['certificate expires soon client 29']);
  now += 400 * DAY_MS;
  await log.next('certificate expired');
  t.strictSame(told(log).slice(1), ['certificate expired client -371']);
  now = start;
  watch.look();
  t.equal(told(log).length, 2, 'back again it is fine');
  now = start + 10 * DAY_MS + 1000;
  await eventually(() => told(log).length === 3);
  t.strictSame(
    told(log).slice(2),
    ['certificate expires soon client 29'],
    'and warns anew when its time comes',
  );
  watch.close();
  now += 400 * DAY_MS;
  await new Promise(resolve => setTimeout(resolve, 30));
  t.equal(told(log).length, 3, 'closed, it says nothing');
});

t.test('a certificate whose end nobody can read is in no list', async t => {
  const { certPem, certificate } = await selfSignedClient();
  const odd = new X509Certificate(withOddDate(certPem));
  t.match(expiryOf('client', certificate), [
    { kind: 'client', subject: 'O=cloud-api-adaptor', notAfter: Date },
  ]);
  t.strictSame(expiryOf('client', odd), []);
});
