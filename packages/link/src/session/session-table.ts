// SPDX-License-Identifier: Apache-2.0
// The listening end of sessions: which there are, whose they are, how long one is kept without a connection, and how many.
// The bytes of a session are session-stream.ts's; whose a link is was verified before it comes here.
import { randomBytes } from 'node:crypto';
import { messageOf } from '@peerpod-tls/base';
import type { Logger } from 'pino';
import { LinkError } from '../errors.js';
import { lossCause, type LossCause } from '../liveness/loss.js';
import type { LentReads } from '../relay/types.js';
import type { PeerInfo, VerifiedPeer } from '../tls/verify-peer.js';
import { SessionConnection, type ConnectionUser } from './connection.js';
import { ForgottenSessions } from './forgotten-sessions.js';
import { SessionStream, UNACKNOWLEDGED_BYTES, type SessionOwner } from './session-stream.js';
import { encodeOpened, ID_BYTES, type Open, type SessionRefusal } from './wire.js';

export interface SessionTableOptions {
  /** How long a session is kept without a connection, in milliseconds. */
  readonly graceMs: number;
  /** Gets each new session, which is then its own. */
  onSession(session: LentReads, peer: PeerInfo): void;
  /** A session lost its connection, and is kept. */
  onAway?(cause: LossCause): void;
  /** A session goes on over a new connection. */
  onResumed?(): void;
  /** A link that wanted to resume one, or did not say what it wanted, was turned away. */
  onRefused?(reason: SessionRefusal | 'protocol'): void;
  /** A session ended that could have been resumed: its time was over, or it had to make room. */
  onLost?(): void;
  readonly log: Logger;
  /** How long a link may take to say which session it is for, in milliseconds. Default 10 000. */
  readonly openMs?: number;
  /** Sessions without a connection. Default 1 024; beyond, the client that has most of them loses its oldest. */
  readonly maxAway?: number;
  /** Bytes kept for all sessions without a connection. Default 64 MiB; beyond, what is written to them is held. */
  readonly maxAwayBytes?: number;
}

export interface SessionCounts {
  /** Sessions with a connection. */
  readonly linked: number;
  /** Sessions without. */
  readonly away: number;
}

export class SessionTable {
  readonly #o: SessionTableOptions;
  readonly #instance = randomBytes(ID_BYTES);
  readonly #sessions = new Map<string, KeptSession>();
  /** Those without a connection, by client, the one that has been so for longest first. */
  readonly #away = new Map<string, Set<KeptSession>>();
  #awayCount = 0;
  readonly #greetings = new Set<Greeting>();
  readonly #forgotten = new ForgottenSessions(performance.now());
  #closed = false;

  constructor(o: SessionTableOptions) {
    this.#o = o;
  }

  counts(): SessionCounts {
    return { linked: this.#sessions.size - this.#awayCount, away: this.#awayCount };
  }

  /** Takes a link whose both sides agreed on sessions, and finds out which one it is for. */
  accept(peer: VerifiedPeer): void {
    if (this.#closed) return peer.close();
    const { tls } = peer.peer;
    // The client says which session it means once its handshake is done, and that began so long ago.
    const before = performance.now() - (tls?.handshakeMs ?? 0);
    const greeting: Greeting = new Greeting(peer, this.#o.openMs ?? 10_000, {
      onOpen: open => this.#open(greeting.connection, tls?.publicKey ?? '', open, before),
      onFailed: reason =>
        this.#o.log.info({ remote: peer.peer.remote, reason }, 'link closed that opened no session'),
      onBroken: () => this.#o.onRefused?.('protocol'),
      onDone: () => this.#greetings.delete(greeting),
    });
    this.#greetings.add(greeting);
  }

  /** Ends all of them now. */
  close(): void {
    this.#closed = true;
    for (const greeting of this.#greetings) greeting.end();
    const ended = new LinkError('ERR_LINK_SESSION_LOST', 'this end is shutting down');
    for (const session of this.#sessions.values()) session.stream.lose(ended);
  }

  /** Bytes kept for sessions without a connection. */
  get awayBytes(): number {
    let bytes = 0;
    for (const sessions of this.#away.values()) for (const { stream } of sessions) bytes += stream.keptBytes;
    return bytes;
  }

  get #full(): boolean {
    return this.awayBytes >= (this.#o.maxAwayBytes ?? 16 * UNACKNOWLEDGED_BYTES);
  }

  #open(connection: SessionConnection, client: string, open: Open, before: number): boolean {
    const id = open.session.toString('hex');
    const known = this.#sessions.get(id);
    const own = known?.client === client && known.instance.equals(open.instance) ? known : undefined;
    if (own !== undefined) return this.#resume(connection, own, open);
    // Whose it is, if it is somebody's, is nobody's business.
    const neverSeen =
      known === undefined &&
      open.t === 'begin' &&
      (open.ageMs === 0 || this.#forgotten.neverKnew(id, before - open.ageMs));
    if (!neverSeen || open.received > 0) return this.#refuse(connection, 'unknown');
    this.#endAbandoned(client, open.instance);
    this.#begin(connection, id, client, open.instance);
    return true;
  }

  #begin(connection: SessionConnection, id: string, client: string, instance: Buffer): void {
    const { graceMs, log } = this.#o;
    const session = new KeptSession(client, instance, {
      graceMs,
      onAway: cause => this.#onAway(session, cause),
      onLate: () => this.#o.onLost?.(),
      onOver: () => this.#forget(id, session),
      mayKeep: () => !this.#full,
    });
    this.#sessions.set(id, session);
    connection.write(encodeOpened({ t: 'new', instance: this.#instance, graceMs, received: 0 }));
    session.stream.attach(connection, 0);
    log.debug({ remote: connection.peer.peer.remote }, 'session begun');
    try {
      this.#o.onSession(session.stream, connection.peer.peer);
    } catch (error) {
      log.error({ remote: connection.peer.peer.remote, error: messageOf(error) }, 'session not taken');
      session.stream.destroy();
    }
  }

  #resume(connection: SessionConnection, session: KeptSession, open: Open): boolean {
    const { stream } = session;
    if (!stream.couldGoOnAt(open.received)) return this.#refuse(connection, 'offset');
    // The one that is still there goes first: nothing that it brings may count any more.
    stream.detach();
    this.#leaveAway(session);
    const { graceMs, log } = this.#o;
    const { received } = stream;
    connection.write(encodeOpened({ t: 'resumed', instance: this.#instance, graceMs, received }));
    const again = stream.attach(connection, open.received);
    const ms = session.awayMs;
    log.info({ remote: connection.peer.peer.remote, ms, sentAgain: again }, 'link resumed');
    this.#o.onResumed?.();
    session.relinked();
    return true;
  }

  #refuse(connection: SessionConnection, reason: SessionRefusal): false {
    const { graceMs, log } = this.#o;
    log.info({ remote: connection.peer.peer.remote, reason }, 'session refused');
    this.#o.onRefused?.(reason);
    connection.write(encodeOpened({ t: 'refused', reason, instance: this.#instance, graceMs, received: 0 }));
    return false;
  }

  /** Another process of this client dials: what an earlier one left will not be asked for again. */
  #endAbandoned(client: string, instance: Buffer): void {
    for (const session of this.#away.get(client) ?? [])
      if (!session.instance.equals(instance))
        session.stream.lose(new LinkError('ERR_LINK_SESSION_LOST', 'its client was started anew'));
  }

  #onAway(session: KeptSession, cause: LinkError | null): void {
    const { log, graceMs } = this.#o;
    log.info(
      { cause: lossCause(cause), graceMs, keptBytes: session.stream.keptBytes },
      'link cut, session kept',
    );
    this.#o.onAway?.(lossCause(cause));
    const ofClient = this.#away.get(session.client);
    if (ofClient === undefined) this.#away.set(session.client, new Set([session]));
    else ofClient.add(session);
    this.#awayCount += 1;
    if (this.#awayCount > (this.#o.maxAway ?? 1_024)) this.#makeRoom();
  }

  #makeRoom(): void {
    let most: Set<KeptSession> = new Set();
    for (const sessions of this.#away.values()) if (sessions.size > most.size) most = sessions;
    const [oldest] = most;
    if (oldest === undefined) return;
    this.#o.onLost?.();
    this.#o.log.warn({ ofClient: most.size }, 'session ended, since too many are without a link');
    oldest.stream.lose(new LinkError('ERR_LINK_SESSION_LOST', 'it made room for newer ones without a link'));
  }

  #leaveAway(session: KeptSession): void {
    const ofClient = this.#away.get(session.client);
    if (ofClient?.delete(session) !== true) return;
    this.#awayCount -= 1;
    if (ofClient.size === 0) this.#away.delete(session.client);
  }

  #forget(id: string, session: KeptSession): void {
    this.#leaveAway(session);
    this.#sessions.delete(id);
    this.#forgotten.note(id, performance.now());
  }
}

interface KeptSessionOptions {
  readonly graceMs: number;
  onAway(cause: LinkError | null): void;
  onLate(): void;
  onOver(): void;
  mayKeep(): boolean;
}

/** One session and how long it may be without a connection, or without its user. */
class KeptSession implements SessionOwner {
  readonly client: string;
  readonly instance: Buffer;
  readonly stream: SessionStream;
  readonly #o: KeptSessionOptions;
  #timer: NodeJS.Timeout | null = null;
  #awaySince: number | null = null;

  constructor(client: string, instance: Buffer, o: KeptSessionOptions) {
    this.client = client;
    this.instance = instance;
    this.#o = o;
    this.stream = new SessionStream(this);
  }

  /** How long it has been without a connection; 0 when it has one. */
  get awayMs(): number {
    return this.#awaySince === null ? 0 : Math.round(performance.now() - this.#awaySince);
  }

  relinked(): void {
    this.#awaySince = null;
    // One that only delivers what is left has its time from when its user left.
    if (!this.stream.destroyed) this.#stopTimer();
  }

  onOpened(): boolean {
    return false;
  }

  onAway(cause: LinkError | null): void {
    this.#awaySince = performance.now();
    this.#startTimer();
    this.#o.onAway(cause);
  }

  onLeft(): boolean {
    this.#startTimer();
    return true;
  }

  onOver(): void {
    this.#stopTimer();
    this.#o.onOver();
  }

  mayKeep(): boolean {
    return this.#o.mayKeep();
  }

  #startTimer(): void {
    this.#timer ??= setTimeout(() => this.#onLate(), this.#o.graceMs).unref();
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #onLate(): void {
    this.#o.onLate();
    const seconds = this.#o.graceMs / 1000;
    this.stream.lose(
      new LinkError(
        'ERR_LINK_SESSION_LOST',
        `the link was not resumed within the ${seconds} s it is kept for`,
      ),
    );
  }
}

interface GreetingEvents {
  /** Says whether the connection is a session's now. */
  onOpen(open: Open): boolean;
  onFailed(reason: string): void;
  /** What failed was the protocol. */
  onBroken(): void;
  onDone(): void;
}

/** A link that has not said which session it is for. */
class Greeting implements ConnectionUser {
  readonly connection: SessionConnection;
  readonly #events: GreetingEvents;
  readonly #timer: NodeJS.Timeout;

  constructor(peer: VerifiedPeer, timeoutMs: number, events: GreetingEvents) {
    this.#events = events;
    this.#timer = setTimeout(() => this.#fail(`it said nothing within ${timeoutMs} ms`), timeoutMs);
    this.connection = new SessionConnection(peer, this);
  }

  end(): void {
    this.#done();
    this.connection.close();
  }

  onBytes(): void {
    this.onBroken('it did not begin with the session it is for');
  }

  onControl(control: Parameters<ConnectionUser['onControl']>[0]): boolean {
    if (control.t !== 'open') {
      this.onBroken('it did not begin with the session it is for');
      return false;
    }
    this.#done();
    const taken = this.#events.onOpen(control.open);
    if (!taken) this.connection.close();
    return taken;
  }

  onBroken(reason: string): void {
    this.#events.onBroken();
    this.#fail(reason);
  }

  onWritable(): void {}

  onLost(): void {
    this.#fail(this.connection.failure()?.message ?? 'it hung up');
  }

  #fail(reason: string): void {
    this.#done();
    this.#events.onFailed(reason);
    this.connection.close();
  }

  #done(): void {
    clearTimeout(this.#timer);
    this.#events.onDone();
  }
}
