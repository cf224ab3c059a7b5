// SPDX-License-Identifier: Apache-2.0
// The kernel's table of TCP sockets: found in the real one where there is one, and read out of any text without harm.
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { endianness } from 'node:os';
import * as fc from 'fast-check';
import t, { type Test } from 'tap';
import {
  addressBytes,
  lookUp,
  tableKey,
  TABLES,
  TableScanner,
  type TcpEntry,
} from '../../src/liveness/tcp-table.js';

const noTable = existsSync(TABLES.IPv4) && existsSync(TABLES.IPv6) ? false : 'the kernel keeps no such table';
const littleEndian = endianness() === 'LE' ? false : 'the lines are of a little-endian machine';

async function pair(t: Test, listen: string, host: string): Promise<{ near: Socket; far: Socket }> {
  const server = createServer({ pauseOnConnect: true });
  t.teardown(() => server.close());
  server.listen(0, listen);
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no TCP server');
  const accepted = once(server, 'connection');
  const near = connect(address.port, host);
  const [far]: Socket[] = await accepted;
  if (far === undefined) throw new Error('no connection');
  for (const socket of [near, far]) {
    socket.on('error', () => {});
    t.teardown(() => socket.destroy());
  }
  if (near.connecting) await once(near, 'connect');
  return { near, far };
}

async function entryOf(socket: Socket): Promise<TcpEntry | undefined> {
  const place = tableKey(socket);
  if (place === null) throw new Error('the socket has no place in the table');
  return (await lookUp(TABLES[place.family], place.family, new Set([place.key]))).get(place.key);
}

t.test('both ends of a connection are found, whatever its addresses', { skip: noTable }, async t => {
  const noSix = await pair(t, '::1', '::1').then(
    () => false,
    () => true,
  );
  const scenes: [string, string][] = [['127.0.0.1', '127.0.0.1']];
  if (!noSix) scenes.push(['::1', '::1'], ['::', '127.0.0.1']);
  for (const [listen, host] of scenes) {
    const { near, far } = await pair(t, listen, host);
    const idle = { unacknowledged: 0, retransmits: 0, probes: 0, parted: false };
    t.strictSame(await entryOf(near), idle, `${host}, dialled`);
    t.strictSame(await entryOf(far), idle, `${host}, accepted on ${listen}`);
  }
});

t.test('a peer that reads nothing owes bytes, and its kernel still answers', { skip: noTable }, async t => {
  const { near } = await pair(t, '127.0.0.1', '127.0.0.1');
  const chunk = Buffer.alloc(1 << 20);
  // More than both sockets' buffers take.
  while (near.write(chunk) || near.writableLength < 4 * chunk.length) await new Promise(setImmediate);
  await t.resolves(
    (async () => {
      for (;;) {
        const entry = await entryOf(near);
        if (entry !== undefined && entry.unacknowledged > 0 && entry.retransmits === 0) return;
      }
    })(),
  );
});

t.test('a socket that is not connected, or not over TCP, has no key', async t => {
  const { near } = await pair(t, '127.0.0.1', '127.0.0.1');
  near.destroy();
  await once(near, 'close');
  t.equal(tableKey(near), null);
});

const V4_HEAD =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     \n';
const V4_STUCK =
  '   4: 0201000A:9C40 0202000A:3B2E 01 000000D7:00000000 01:0000014F 00000006     0        0 2112288 2 00000000d40e4908 1280 4 30 1 7\n';
const V6_PROBED =
  '1234: 0000000000000000FFFF00000202000A:3B2E 0000000000000000FFFF00000201000A:9C40 08 0001A2B3:00000001 04:0000014F 00000000 65534       12 77 2 00000000d40e4908 20 4 30 10 -1\n';
const V4_KEY = '0201000A:9C40 0202000A:3B2E';
const V6_KEY = '0000000000000000FFFF00000202000A:3B2E 0000000000000000FFFF00000201000A:9C40';

t.test('the columns are the right ones', { skip: littleEndian }, async t => {
  const four = new TableScanner('IPv4', new Set([V4_KEY]));
  four.feed(V4_HEAD + V4_STUCK);
  t.strictSame(
    [...four.found],
    [[V4_KEY, { unacknowledged: 0xd7, retransmits: 6, probes: 0, parted: false }]],
  );
  t.ok(four.done);
  const six = new TableScanner('IPv6', new Set([V6_KEY, 'another']));
  six.feed(V6_PROBED);
  t.strictSame(
    [...six.found],
    [[V6_KEY, { unacknowledged: 0x1a2b3, retransmits: 0, probes: 12, parted: true }]],
  );
  t.notOk(six.done, 'one is still looked for');
});

t.test('a connection that waits out its end is not taken for one that stands', async t => {
  const scanner = new TableScanner('IPv4', new Set([V4_KEY]));
  scanner.feed(V4_STUCK.replace(' 01 0000', ' 06 0000'));
  t.equal(scanner.found.size, 0);
});

t.test('a table may come in any pieces, with anything between its lines', async t => {
  const noise = fc.oneof(
    fc.string().map(text => text.replaceAll('\n', '')),
    fc.constantFrom(
      V4_STUCK.slice(0, 60),
      V4_KEY,
      `1: ${V4_KEY}`,
      `1: ${V4_KEY} zz`,
      ': ',
      'x'.repeat(5_000),
    ),
  );
  const property = fc.property(
    fc.array(noise, { maxLength: 8 }),
    fc.array(noise, { maxLength: 8 }),
    fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1 }),
    (before, after, cuts) => {
      const text = [...before, V4_STUCK.trimEnd(), ...after].map(line => `${line}\n`).join('');
      const scanner = new TableScanner('IPv4', new Set([V4_KEY]));
      for (let at = 0, i = 0; at < text.length; i += 1) {
        const size = cuts[i % cuts.length] ?? 1;
        scanner.feed(text.slice(at, at + size));
        at += size;
      }
      const found = scanner.found.get(V4_KEY);
      return found !== undefined && found.retransmits === 6 && found.unacknowledged === 0xd7;
    },
  );
  t.doesNotThrow(() => fc.assert(property, { numRuns: 500 }));
});

t.test('no text makes it throw, or find what is not a whole and connected line', async t => {
  const digits = fc.string({ unit: fc.constantFrom(...'0123456789ABCDEFabcdefg: \n'), maxLength: 300 });
  const property = fc.property(fc.oneof(digits, fc.string({ unit: 'binary' })), text => {
    const scanner = new TableScanner('IPv4', new Set([V4_KEY]));
    scanner.feed(text);
    scanner.feed(`${text}\n1: ${V4_KEY}${text.replaceAll('\n', '')}\n`);
    return [...scanner.found.values()].every(
      entry => Number.isSafeInteger(entry.unacknowledged + entry.retransmits) && entry.probes >= 0,
    );
  });
  t.doesNotThrow(() => fc.assert(property, { numRuns: 1_000 }));
});

t.test('every way to write an address gives its bytes', async t => {
  const words = fc.array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 });
  const property = fc.property(words, list => {
    const bytes = Buffer.from(list.flatMap(word => [word >> 8, word & 0xff]));
    const long = list.map(word => word.toString(16)).join(':');
    const short = new URL(`http://[${long}]`).hostname.slice(1, -1);
    const dotted = `${long.split(':').slice(0, 6).join(':')}:${[...bytes.subarray(12)].join('.')}`;
    return [long, short, dotted, `${short}%eth0`].every(text => addressBytes(text)?.equals(bytes) === true);
  });
  t.doesNotThrow(() => fc.assert(property, { numRuns: 500 }));
  t.strictSame(addressBytes('192.0.2.7'), Buffer.from([192, 0, 2, 7]));
  t.strictSame(addressBytes('::ffff:192.0.2.7')?.toString('hex'), '00000000000000000000ffffc0000207');
  t.strictSame(addressBytes('::')?.toString('hex'), '0'.repeat(32));
  for (const text of ['', 'unknown', '1.2.3', '1.2.3.4.5', '256.0.0.1', ':::', '1::2::3', 'g::', '%eth0'])
    t.equal(addressBytes(text), null, JSON.stringify(text));
});

t.test('a table that is not there is an error of the file system', async t => {
  await t.rejects(lookUp('/nowhere/tcp', 'IPv4', new Set([V4_KEY])), { code: 'ENOENT' });
});
