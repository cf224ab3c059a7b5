// SPDX-License-Identifier: Apache-2.0
// What Linux tells of the TCP sockets of this network namespace (/proc/self/net/tcp and tcp6): how much the other end
// has not acknowledged, and how often the kernel has tried in vain. Reads and parses; decides nothing.
import { open } from 'node:fs/promises';
import { isIPv4, isIPv6 } from 'node:net';
import { endianness } from 'node:os';

/** One socket that stands or is being closed. */
export interface TcpEntry {
  /** Bytes that the other end's kernel has not acknowledged. */
  readonly unacknowledged: number;
  /** Retransmission timeouts since it last acknowledged anything new. */
  readonly retransmits: number;
  /** Probes (of a closed window, or keepalive) since it last answered one. */
  readonly probes: number;
  /** Whether the other end has said that it sends no more. */
  readonly parted: boolean;
}

export type Family = 'IPv4' | 'IPv6';

/** Addresses and ports as the table writes them. */
export interface TableKey {
  readonly family: Family;
  readonly key: string;
}

/** The table of each address family, as this process sees it; there also under systemd's `ProcSubset=pid`. */
export const TABLES: Readonly<Record<Family, string>> = {
  IPv4: '/proc/self/net/tcp',
  IPv6: '/proc/self/net/tcp6',
};

/** `ADDRESS:PORT ADDRESS:PORT`, by the length of an address in hexadecimal digits. */
const KEY_LENGTH: Readonly<Record<Family, number>> = { IPv4: 8 + 5 + 1 + 8 + 5, IPv6: 32 + 5 + 1 + 32 + 5 };
/** A line of the kernel's is about 150 characters in tcp and 180 in tcp6. */
const LONGEST_LINE = 1_024;
const CHUNK_BYTES = 64 * 1024;
/** ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, LAST_ACK, CLOSING: the states that have somebody to acknowledge. */
const CONNECTED = new Set(['01', '04', '05', '08', '09', '0B']);
/** CLOSE_WAIT, LAST_ACK, CLOSING. */
const PARTED = new Set(['08', '09', '0B']);
/** State, tx_queue:rx_queue, timer:expiry, retransmits, uid, probes; numbers before the uid are hexadecimal. */
const REST =
  /^ ([\dA-F]{2}) ([\dA-F]{8}):[\dA-F]{8} [\dA-F]{2}:[\dA-F]{8,16} ([\dA-F]{8}) +\d+ +(\d{1,10}) /u;

/** Where a connection is, as Node tells it of a socket. */
export interface Ends {
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly remoteFamily?: string | undefined;
}

/** The ends of a socket while it has them; null for one that is not connected over TCP. */
export function endsOf(socket: Ends): Ends | null {
  const { localAddress, localPort, remoteAddress, remotePort, remoteFamily } = socket;
  return remoteFamily === undefined
    ? null
    : { localAddress, localPort, remoteAddress, remotePort, remoteFamily };
}

/**
 * How the table names a connection; null for one that is not over TCP. An IPv4 peer of a listener on `::` is an IPv6
 * socket with a mapped address, and is looked for there.
 */
export function tableKey(ends: Ends): TableKey | null {
  const { localAddress, localPort, remoteAddress, remotePort, remoteFamily } = ends;
  if (remoteFamily !== 'IPv4' && remoteFamily !== 'IPv6') return null;
  const local = endText(localAddress, localPort);
  const remote = endText(remoteAddress, remotePort);
  if (local === null || remote === null) return null;
  const key = `${local} ${remote}`;
  return key.length === KEY_LENGTH[remoteFamily] ? { family: remoteFamily, key } : null;
}

/**
 * Looks for sockets in one table and stops when all are found. What is not found has just been closed, or slipped
 * through while the table changed under the read.
 * @param keys of the family whose table it is
 * @throws Node's error of the file system when the table cannot be read
 */
export async function lookUp(
  path: string,
  family: Family,
  keys: ReadonlySet<string>,
): Promise<ReadonlyMap<string, TcpEntry>> {
  const scanner = new TableScanner(family, keys);
  const file = await open(path, 'r');
  try {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    while (!scanner.done) {
      // A few kilobytes at a time, whatever is asked for: seq_file fills a page. Each is a turn of the event loop.
      const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES, null);
      if (bytesRead === 0) break;
      scanner.feed(chunk.toString('latin1', 0, bytesRead));
    }
  } finally {
    await file.close();
  }
  return scanner.found;
}

/** Picks sockets out of a table that comes in pieces. What is no line of a table is passed over. */
export class TableScanner {
  readonly found = new Map<string, TcpEntry>();
  readonly #keys: ReadonlySet<string>;
  readonly #keyLength: number;
  #tail = '';

  constructor(family: Family, keys: ReadonlySet<string>) {
    this.#keys = keys;
    this.#keyLength = KEY_LENGTH[family];
  }

  get done(): boolean {
    return this.found.size >= this.#keys.size;
  }

  feed(text: string): void {
    let from = 0;
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', from)) {
      const rest = text.slice(from, end);
      this.#line(this.#tail === '' ? rest : this.#tail + rest);
      this.#tail = '';
      from = end + 1;
    }
    if (this.#tail.length <= LONGEST_LINE) this.#tail += text.slice(from, from + LONGEST_LINE + 1);
  }

  #line(line: string): void {
    if (line.length > LONGEST_LINE) return;
    const start = line.indexOf(': ') + 2;
    if (start < 2) return;
    const end = start + this.#keyLength;
    const key = line.slice(start, end);
    if (!this.#keys.has(key)) return;
    const [, state, unacknowledged, retransmits, probes] = REST.exec(line.slice(end)) ?? [];
    if (state === undefined || unacknowledged === undefined || !CONNECTED.has(state)) return;
    this.found.set(key, {
      unacknowledged: Number.parseInt(unacknowledged, 16),
      retransmits: Number.parseInt(retransmits ?? '', 16),
      probes: Number(probes),
      parted: PARTED.has(state),
    });
  }
}

function endText(address: string | undefined, port: number | undefined): string | null {
  const bytes = address === undefined ? null : addressBytes(address);
  if (bytes === null || port === undefined) return null;
  return `${tableHex(bytes)}:${port.toString(16).toUpperCase().padStart(4, '0')}`;
}

/** The kernel prints each 32 bits of an address as a number of the machine's own byte order. */
function tableHex(bytes: Buffer): string {
  return (endianness() === 'LE' ? Buffer.from(bytes).swap32() : bytes).toString('hex').toUpperCase();
}

/** The bytes of an address in network order, 4 or 16 of them; null for what is none. A zone (`%eth0`) is no part of it. */
export function addressBytes(address: string): Buffer | null {
  const [text = ''] = address.split('%', 1);
  if (isIPv4(text)) return Buffer.from(text.split('.').map(Number));
  if (!isIPv6(text)) return null;
  const [head = [], tail = []] = text.split('::').map(wordsOf);
  const words = [...head, ...Array<number>(8 - head.length - tail.length).fill(0), ...tail];
  return Buffer.from(words.flatMap(word => [word >> 8, word & 0xff]));
}

/** The 16-bit groups of a part of an IPv6 address, whose last 32 bits may be written as an IPv4 address. */
function wordsOf(part: string): number[] {
  if (part === '') return [];
  return part.split(':').flatMap(group => {
    const [a, b, c, d] = group.split('.').map(Number);
    if (a === undefined || b === undefined || c === undefined || d === undefined)
      return [Number.parseInt(group, 16)];
    return [(a << 8) | b, (c << 8) | d];
  });
}
