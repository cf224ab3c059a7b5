// SPDX-License-Identifier: Apache-2.0
// Notices a link whose other end is gone though nothing says so. Where the network swallows packets nothing resets a
// connection: once a byte was sent the kernel asks no keepalive any more, and retransmits for a quarter of an hour
// (tcp_retries2) while calls hang. And a socket that is not being read, because the agent does not read, shows neither an
// end nor a reset. Node has neither TCP_USER_TIMEOUT (RFC 5482) nor TCP_INFO, so the kernel's table of sockets is looked
// at, once for all links, and only while some link has sent and heard nothing since, or is not read. A peer whose kernel
// acknowledges is never cut, however long its process is silent.
import type { Socket } from 'node:net';
import { codeOf } from '@peerpod-tls/base';
import type { Logger } from 'pino';
import { LinkError } from '../errors.js';
import { socketBelow } from '../tls/node-internals.js';
import { isStalled, partedBy, partingAfter, silenceAfter, type Parting, type Silence } from './silence.js';
import { endsOf, lookUp, tableKey, TABLES, type Ends, type Family, type TcpEntry } from './tcp-table.js';

export interface WatchTiming {
  /**
   * How long the other end's kernel may acknowledge nothing, in milliseconds. Default 15 000, as long as an idle link
   * waits for its first keepalive. Retransmissions come at doubling intervals, so a network that is back within half of
   * this always heals the connection itself; and with the 20 s of a redial after it, a wait outlives 35 s without network.
   */
  readonly stallMs: number;
  /**
   * How long the other end of a link may have ended its side while nobody reads, in milliseconds. Default 15 000: what it
   * said before is read within that, or nobody waits for the answers any more.
   */
  readonly heldMs: number;
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

/** How the other end was found to be gone: by `ms` of silence, or with nobody reading what it left. */
export type Loss = { readonly t: 'stalled'; readonly ms: number } | { readonly t: 'reset' | 'ended' };

interface Watched {
  readonly socket: Socket;
  /** Asked for while it stands: a socket that was reset has none any more. */
  readonly ends: Ends;
  readonly onLoss: (loss: Loss) => void;
  /** As of the last round. */
  bytesRead: number;
  /** `bytesWritten` up to which everything is known to be acknowledged; -1 before the first look, for the handshake. */
  settled: number;
  silence: Silence | null;
  parting: Parting | null;
}

/** Nobody reads from it: what its other end does is not told. */
function isHeld({ readableFlowing, readableEnded }: Socket): boolean {
  return readableFlowing !== true && !readableEnded;
}

/** Watches all links of a process with one timer, which runs while there is a link and holds no process alive. */
export class LinkWatch {
  readonly #timing: WatchTiming;
  readonly #tables: Readonly<Record<Family, string>>;
  readonly #links = new Set<Watched>();
  #timer: NodeJS.Timeout | null = null;
  #looking = false;
  #hidden = false;
  /** No look before this, and how long the last pause between looks was meant to be. */
  #notBefore = 0;
  #pauseMs: number;

  constructor(timing: WatchTiming = { stallMs: 15_000, heldMs: 15_000, tickMs: 1_000 }, tables = TABLES) {
    this.#timing = timing;
    this.#tables = tables;
    this.#pauseMs = timing.tickMs;
  }

  /** Calls `onLoss` once, should the other end, or the network to it, be gone without a word. */
  add(socket: Socket, log: Logger, onLoss: (loss: Loss) => void): void {
    const ends = this.#hidden || socket.destroyed ? null : endsOf(socket);
    if (ends === null) return;
    const { bytesRead } = socket;
    const link: Watched = { socket, ends, onLoss, bytesRead, settled: -1, silence: null, parting: null };
    this.#links.add(link);
    socket.on('close', () => this.#forget(link));
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
      const { socket } = link;
      // Nothing is owed, and whatever comes is read. Asked first: it is so for nearly all, each time.
      if (socket.bytesWritten === link.settled && !isHeld(socket)) {
        link.silence = null;
        link.parting = null;
        continue;
      }
      const { bytesRead } = socket;
      if (bytesRead === link.bytesRead) suspects.push(link);
      else {
        link.bytesRead = bytesRead;
        link.silence = null;
        link.parting = null;
      }
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
      // What waits in this process is not in the kernel's count.
      const written = link.socket.writableLength === 0 ? link.socket.bytesWritten : -1;
      const place = tableKey(link.ends);
      if (place !== null) byKey[place.family].set(place.key, { link, written });
    }
    for (const family of ['IPv4', 'IPv6'] as const) {
      const links = byKey[family];
      if (links.size === 0) continue;
      const found = await lookUp(this.#tables[family], family, new Set(links.keys()));
      for (const [key, { link, written }] of links) {
        const entry = found.get(key);
        if (entry !== undefined) this.#weigh(link, written, entry);
        if (isHeld(link.socket)) this.#weighParting(link, entry);
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
    link.onLoss({ t: 'stalled', ms: link.silence.ms });
  }

  #weighParting(link: Watched, entry: TcpEntry | undefined): void {
    // Forgotten meanwhile, by the other rule or because it was closed.
    if (!this.#links.has(link) || link.socket.destroyed) return;
    link.parting = partingAfter(link.parting, entry, performance.now(), this.#pauseMs);
    const how = link.parting === null ? null : partedBy(link.parting, this.#timing.heldMs);
    if (how === null) return;
    this.#forget(link);
    link.onLoss({ t: how });
  }
}

const links = new LinkWatch();

/**
 * Ends this socket when its other end is gone without a word: with ERR_LINK_STALLED when its network is, else with
 * ERR_LINK_CLOSED. Does nothing where the kernel keeps no such table.
 * @param onError is told before anything else hears of it: below TLS, the close of a reset comes before its error
 */
export function endWhenGone(
  socket: Socket,
  remote: string,
  log: Logger,
  onError: (error: LinkError) => void,
  watch = links,
): void {
  watch.add(socket, log, loss => {
    const error = errorOf(loss, remote);
    if (loss.t === 'stalled')
      log.warn(
        { remote, seconds: Math.round(loss.ms / 1000) },
        'link closed because its network swallows packets',
      );
    else log.warn({ remote, how: loss.t }, 'link closed because its other end is gone and nobody reads it');
    onError(error);
    reset(socket, error);
  });
}

function errorOf(loss: Loss, remote: string): LinkError {
  if (loss.t === 'stalled') {
    const seconds = Math.round(loss.ms / 1000);
    return new LinkError('ERR_LINK_STALLED', `${remote} has acknowledged nothing for ${seconds} s`, {
      hint: 'see that its machine runs, and the network between',
    });
  }
  const hint = 'see whether the agent still reads';
  if (loss.t === 'ended')
    return new LinkError('ERR_LINK_CLOSED', `${remote} ended the link while nobody read from it`, { hint });
  const cause = Object.assign(new Error('reset by its other end'), { code: 'ECONNRESET' });
  return new LinkError('ERR_LINK_CLOSED', `${remote} reset the link while nobody read from it`, {
    hint,
    cause,
  });
}

/**
 * Ends a connection so that the kernel throws away what was not delivered. A plain close would go on sending it: a call
 * that was answered Unavailable long ago could reach the agent once the network is back.
 */
function reset(socket: Socket, error: LinkError): void {
  const raw = socketBelow(socket);
  raw.on('error', () => {});
  raw.resetAndDestroy();
  socket.destroy(error);
}
