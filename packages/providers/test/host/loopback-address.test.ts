// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';

import {
  candidateAddress,
  isFree,
  releaseAddresses,
  reserveAddress,
} from '../../src/host/loopback-address.js';

const { signal } = new AbortController();

/** A port that is free on every loopback address of interest: one the system just gave out and took back. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

t.test(
  'candidates are the same every time, differ by VM, and stay in the loopback away from its usual tenants',
  async t => {
    const seen = new Set<string>();
    for (let n = 0; n < 500; n += 1) {
      const address = candidateAddress('/data/vm', n);
      const [a, b, c, d] = address.split('.').map(Number);
      t.ok(
        a === 127 &&
          b !== undefined &&
          b >= 64 &&
          b < 192 &&
          c !== undefined &&
          c < 256 &&
          d !== undefined &&
          d >= 1 &&
          d <= 254,
        address,
      );
      seen.add(address);
    }
    t.ok(seen.size > 495, 'spread out');
    t.equal(candidateAddress('/data/vm', 3), candidateAddress('/data/vm', 3));
    t.not(candidateAddress('/data/vm', 0), candidateAddress('/data/other', 0));
  },
);

t.test('a VM gets its own address again, another VM gets another, a vanished VM loses its', async t => {
  const base = t.testdir();
  const reservations = join(base, 'addresses');
  const vm = join(base, 'vm');
  mkdirSync(vm);
  const port = await freePort();
  const address = await reserveAddress(reservations, vm, port, signal);
  t.equal(await reserveAddress(reservations, vm, port, signal), address);
  t.equal(readFileSync(join(reservations, address), 'utf8'), vm);
  // The first candidate of this directory, held by a VM that lives.
  const rival = join(base, 'rival');
  const contested = candidateAddress(rival, 0);
  writeFileSync(join(reservations, contested), vm);
  const second = await reserveAddress(reservations, rival, port, signal);
  t.not(second, contested);
  // And by one that is gone.
  await import('node:fs/promises').then(fs =>
    fs.writeFile(join(reservations, contested), join(base, 'gone')),
  );
  await releaseAddresses(reservations, rival);
  t.equal(await reserveAddress(reservations, rival, port, signal), contested);
  await releaseAddresses(reservations, rival);
  await releaseAddresses(reservations, vm);
  t.same(readdirSync(reservations), []);
});

t.test('an address whose port is taken is passed over', async t => {
  const base = t.testdir();
  const vm = join(base, 'vm');
  const first = candidateAddress(vm, 0);
  const server = createServer().listen(0, first);
  t.teardown(() => server.close());
  await once(server, 'listening');
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
  t.equal(await isFree(first, port), false);
  t.equal(await reserveAddress(join(base, 'addresses'), vm, port, signal), candidateAddress(vm, 1));
});

t.test('what a crash left of a reservation that was being written goes with its VM', async t => {
  const reservations = join(t.testdir(), 'addresses');
  const vm = '/somewhere/vm';
  const address = await reserveAddress(reservations, vm, 0, signal);
  // Written aside under a name that says whose it is, and killed before a byte was in it.
  const whose = createHash('sha256').update(vm).digest('hex').slice(0, 16);
  for (const name of [`127.70.0.1.${whose}`, '127.70.0.2.0123456789abcdef'])
    writeFileSync(join(reservations, name), '');
  t.ok(readdirSync(reservations).includes(address));
  await releaseAddresses(reservations, vm);
  t.strictSame(readdirSync(reservations), ['127.70.0.2.0123456789abcdef'], 'and nothing of others');
});

t.test('where the port is taken on all addresses the refusal says so', async t => {
  const server = createServer().listen(0, '0.0.0.0');
  t.teardown(() => server.close());
  await once(server, 'listening');
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
  await t.rejects(reserveAddress(join(t.testdir(), 'a'), '/vm', port, signal), {
    code: 'ERR_PROVIDER_CREATE',
    message: new RegExp(`port ${port}`),
    hint: /-forwarder-port/,
  });
});

t.test('an address this machine does not have is a matter of configuration', async t => {
  await t.rejects(isFree('192.0.2.1', 15150), {
    code: 'ERR_PROVIDER_CONFIG',
    message: /192\.0\.2\.1:15150/,
    hint: /Linux/,
  });
});
