// SPDX-License-Identifier: Apache-2.0
// Notices a link whose network swallows packets. Nothing resets such a connection: once a byte was sent the kernel asks
// no keepalive any more, and retransmits for a quarter of an hour (tcp_retries2) while calls hang. Node has neither
// TCP_USER_TIMEOUT (RFC 5482) nor TCP_INFO, so the kernel's table of sockets is looked at, and only while some link has
// sent and heard nothing since. A peer whose kernel acknowledges is never cut, however long its process is silent.
import { Socket } from 'node:net';
import type { Logger } from 'pino';
import { codeOf, LinkError } from '../errors.js';
import { lookUp, tableKey, TABLES, type Family, type TcpEntry } from './tcp-table.js';

export interface StallTiming {
  /**
   * How long the other end's kernel may acknowledge nothing, in milliseconds. Default 15 000, as long as an idle link
   * waits for its first keepalive. Retransmissions come at doubling intervals, so a network that is back within half of
   * this always heals the connection itself; and with the 20 s of a redial after it, a wait outlives 35 s without network.
   */
  readonly stallMs: number;
  /** Between two rounds over the links, in milliseconds. Default 1 000; a stall is noticed up to three of them late. */
  readonly tickMs: number;
}

/**
 * A table that took long to read (2 µs a socket of the machine, nearly all of it in the kernel) is left alone for so many
 * times as long, though not for longer than a stall: 2 % of one core at most, up to 100 000 sockets.
 */
const REST_FACTOR = 50;
/** The table is not there for us, today or ever: no Linux, or a sandbox that hides it. */
const HIDDEN = new Set(['ENOENT', 'EACCES', 'EPERM', 'ENOTDIR']);

/** How long a socket has been without acknowledgement, as far as looks at the table have shown. */
export interface Silence {
  readonly ms: number;
  /** When it was looked at last, by `performance.now()`. */
  readonly at: number;
  /** Vain tries of the kernel at the first look and at the last. */
  readonly firstTries: number;
  readonly retransmits: number;
  readonly probes: number;
}

interface Watched {
  readonly socket: Socket;
  readonly onStall: (ms: number) => void;
  /** As of the last round. */
  bytesRead: number;
  /** `bytesWritten` up to which everything is known to be acknowledged; -1 before the first look, for the handshake. */
  settled: number;
  silence: Silence | null;
}

/**
 * What a look adds to what was known; null when the other end has acknowledged, or owes nothing. The kernel counts its
 * tries from the last acknowledgement on and doubles the time between them, so a count that did not fall between two
 * looks was not begun anew. `longestMs` is what a pause between looks may count for: a machine that was suspended
 * has not been listening.
 */
export function silenceAfter(
  before: Silence | null,
  { unacknowledged, retransmits, probes }: TcpEntry,
  at: number,
  longestMs: number,
): Silence | null {
  if (unacknowledged === 0 || retransmits + probes === 0) return null;
  if (before === null || retransmits < before.retransmits || probes < before.probes)
    return { ms: 0, at, firstTries: retransmits + probes, retransmits, probes };
  return { ...before, ms: before.ms + Math.min(at - before.at, longestMs), at, retransmits, probes };
}

/**
 * Whether that is enough to give the link up. The tries must have become more while we looked: against a window that a
 * living peer closed late the count stays where it was.
 */
export function isStalled(silence: Silence, stallMs: number): boolean {
  return silence.ms >= stallMs && silence.retransmits + silence.probes > silence.firstTries;
}

/** Watches all links of a process with one timer, which runs while there is a link and holds no process alive. */
export class StallWatch {
  readonly #timing: StallTiming;
  readonly #tables: Readonly<Record<Family, string>>;
  readonly #links = new Set<Watched>();
  #timer: NodeJS.Timeout | null = null;
  #looking = false;
  #hidden = false;
  /** No look before this, and how long the last pause between looks was meant to be. */
  #notBefore = 0;
  #pauseMs: number;

  constructor(timing: StallTiming = { stallMs: 15_000, tickMs: 1_000 }, tables = TABLES) {
    this.#timing = timing;
    this.#tables = tables;
    this.#pauseMs = timing.tickMs;
  }

  /** Calls `onStall` once, with the milliseconds of silence seen, should the network to the other end be gone. */
  add(socket: Socket, log: Logger, onStall: (ms: number) => void): void {
    if (this.#hidden || socket.destroyed || socket.remoteFamily === undefined) return;
    const { bytesRead } = socket;
    const link = { socket, onStall, bytesRead, settled: -1, silence: null };
    this.#links.add(link);
    socket.once('close', () => this.#forget(link));
    this.#timer ??= setInterval(() => this.#round(log), this.#timing.tickMs).unref();
  }

  #forget(link: Watched): void {
    this.#links.delete(link);
    if (this.#links.size === 0) this.#stop();
  }

  #stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  #round(log: Logger): void {
    const suspects: Watched[] = [];
    for (const link of this.#links) {
      const { bytesRead } = link.socket;
      if (bytesRead !== link.bytesRead) {
        link.bytesRead = bytesRead;
        link.silence = null;
      } else if (link.socket.bytesWritten !== link.settled) suspects.push(link);
    }
    if (suspects.length === 0 || this.#looking || performance.now() < this.#notBefore) return;
    this.#looking = true;
    this.#look(suspects)
      .catch((error: unknown) => {
        // Anything else, as too many open files, may pass: the next round tries again.
        if (!HIDDEN.has(codeOf(error))) return;
        this.#hidden = true;
        this.#links.clear();
        this.#stop();
        log.debug({ error: codeOf(error) }, 'lost networks are left to the kernel to notice');
      })
      .finally(() => (this.#looking = false));
  }

  async #look(suspects: readonly Watched[]): Promise<void> {
    const began = performance.now();
    const byKey: Record<Family, Map<string, { link: Watched; written: number }>> = {
      IPv4: new Map(),
      IPv6: new Map(),
    };
    for (const link of suspects) {
      const place = tableKey(link.socket);
      // What waits in this process is not in the kernel's count.
      const written = link.socket.writableLength === 0 ? link.socket.bytesWritten : -1;
      if (place !== null) byKey[place.family].set(place.key, { link, written });
    }
    for (const family of ['IPv4', 'IPv6'] as const) {
      const links = byKey[family];
      if (links.size === 0) continue;
      const found = await lookUp(this.#tables[family], family, new Set(links.keys()));
      for (const [key, entry] of found) {
        const seen = links.get(key);
        if (seen !== undefined) this.#weigh(seen.link, seen.written, entry);
      }
    }
    const now = performance.now();
    const rest = Math.min((now - began) * REST_FACTOR, this.#timing.stallMs);
    this.#notBefore = now + rest;
    this.#pauseMs = rest + 2 * this.#timing.tickMs;
  }

  #weigh(link: Watched, written: number, entry: TcpEntry): void {
    if (link.socket.destroyed) return;
    if (entry.unacknowledged === 0 && written !== -1) link.settled = written;
    link.silence = silenceAfter(link.silence, entry, performance.now(), this.#pauseMs);
    if (link.silence === null || !isStalled(link.silence, this.#timing.stallMs)) return;
    this.#forget(link);
    link.onStall(link.silence.ms);
  }
}

const links = new StallWatch();

/**
 * Ends this socket with ERR_LINK_STALLED when its network is gone. Does nothing where the kernel keeps no such table.
 * @param onError is told before anything else hears of it: below TLS, the close of a reset comes before its error
 */
export function endWhenStalled(
  socket: Socket,
  remote: string,
  log: Logger,
  onError: (error: LinkError) => void,
  watch = links,
): void {
  watch.add(socket, log, ms => {
    const seconds = Math.round(ms / 1000);
    log.warn({ remote, seconds }, 'link closed because its network swallows packets');
    const error = new LinkError('ERR_LINK_STALLED', `${remote} has acknowledged nothing for ${seconds} s`, {
      hint: 'see that its machine runs, and the network between',
    });
    onError(error);
    reset(socket, error);
  });
}

/**
 * Ends a connection so that the kernel throws away what was not delivered. A plain close would go on sending it: a call
 * that was answered Unavailable long ago could reach the agent once the network is back.
 */
function reset(socket: Socket, error: LinkError): void {
  // The TCP socket below a TLS one, which itself cannot be reset; Node has no public name for it.
  const below: unknown = Reflect.get(socket, '_parent');
  const raw = below instanceof Socket ? below : socket;
  raw.on('error', () => {});
  raw.resetAndDestroy();
  socket.destroy(error);
}
