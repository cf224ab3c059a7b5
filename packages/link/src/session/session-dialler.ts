// SPDX-License-Identifier: Apache-2.0
// The dialling end of sessions: begins one on a link whose other side agreed to it, and when the link is cut dials again
// and resumes, for as long as the other side keeps the session. How a link is dialled is the caller's.
import { randomBytes } from 'node:crypto';
import { Backoff, messageOf, sleep, startTimer } from '@peerpod-tls/base';
import type { Logger } from 'pino';
import { isPermanent, LinkError } from '../errors.js';
import { lossCause, type LossCause } from '../liveness/loss.js';
import type { LentReads } from '../relay/types.js';
import type { VerifiedPeer } from '../tls/verify-peer.js';
import { SessionConnection, type ConnectionUser } from './connection.js';
import { SessionStream, type SessionOwner } from './session-stream.js';
import { encodeOpen, ID_BYTES, type Opened, type SessionRefusal } from './wire.js';

export interface SessionDialOptions {
  /** A link that both sides agreed may be resumed; the session's from now on. */
  readonly peer: VerifiedPeer;
  /** Makes the next link. */
  redial(signal: AbortSignal): Promise<VerifiedPeer>;
  /** A link was lost by this cause, and the session goes on over another one after `ms`. */
  onResumed?(cause: LossCause, ms: number): void;
  readonly log: Logger;
  /** How long the other side may take to say whether it resumes, in milliseconds. Default 10 000. */
  readonly answerMs?: number;
}

/** Who has the dialling ends of this process, to those it dials. */
const instance = randomBytes(ID_BYTES);
/** For how long a link is dialled again before the other side has said how long it keeps the session, in milliseconds. */
const UNTOLD_GRACE_MS = 20_000;

const REFUSED: Readonly<Record<SessionRefusal, string>> = {
  unknown: 'it keeps no such session, or not any more',
  offset: 'it does not keep the bytes that are missing here',
};

/**
 * Begins a session on a verified link. What is written goes out at once, behind the first frame. The stream ends with an
 * error when the session is lost: it was away for longer than it is kept, or the other side does not know it any more.
 */
export function beginSession(o: SessionDialOptions): LentReads {
  return new DialledSession(o).stream;
}

class DialledSession implements SessionOwner {
  readonly stream: SessionStream;
  readonly #o: SessionDialOptions;
  readonly #id = randomBytes(ID_BYTES);
  readonly #began = performance.now();
  #remote: string;
  #opened: { readonly instance: Buffer; readonly graceMs: number } | null = null;
  #resuming: AbortController | null = null;

  constructor(o: SessionDialOptions) {
    this.#o = o;
    this.#remote = o.peer.peer.remote;
    this.stream = new SessionStream(this);
    const connection = new SessionConnection(o.peer, this.stream);
    connection.write(encodeOpen({ t: 'begin', session: this.#id, instance, received: 0, ageMs: 0 }));
    this.stream.attach(connection, 0);
  }

  onOpened(opened: Opened): boolean {
    // Only the first connection is given away before its answer; on it nothing but a new session makes sense.
    if (this.#opened !== null || opened.t === 'resumed') return false;
    if (opened.t === 'refused') return this.#refused(opened);
    this.#opened = opened;
    return true;
  }

  onAway(cause: LinkError | null): void {
    const { log } = this.#o;
    const graceMs = this.#graceMs;
    log.info({ remote: this.#remote, cause: lossCause(cause), graceMs }, 'link cut, to be resumed');
    void this.#resume(cause, graceMs);
  }

  onOver(): void {
    this.#resuming?.abort(new LinkError('ERR_LINK_CLOSED', 'the session ended'));
  }

  onLeft(): boolean {
    return false;
  }

  mayKeep(): boolean {
    return true;
  }

  get #graceMs(): number {
    return this.#opened?.graceMs ?? UNTOLD_GRACE_MS;
  }

  /** Dials until the session goes on or its time is over. */
  async #resume(cause: LinkError | null, graceMs: number): Promise<void> {
    const resuming = new AbortController();
    this.#resuming = resuming;
    const { signal } = resuming;
    const since = performance.now();
    let last: unknown = cause;
    const over = (): LinkError =>
      new LinkError(
        'ERR_LINK_SESSION_LOST',
        `${this.#remote} was away for ${graceMs / 1000} s, which is how long a cut link can be resumed: ${messageOf(last ?? 'it hung up')}`,
        { cause: last, hint: 'see that its machine runs, and the network between' },
      );
    // It holds the process alive: nothing else may, while there is no link.
    const cancel = startTimer(graceMs, () => this.stream.lose(over()));
    const pause = new Backoff({ firstMs: 50, longestMs: 500, jitter: 0.25 });
    try {
      for (;;) {
        try {
          return await this.#tryOnce(lossCause(cause), since, signal);
        } catch (error) {
          if (signal.aborted) return;
          last = error;
          if (isPermanent(error) && error instanceof LinkError) return this.stream.lose(error);
          this.#o.log.debug({ error: messageOf(error) }, 'link not resumed, trying again');
        }
        await sleep(pause.next(), signal);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      cancel();
      if (this.#resuming === resuming) this.#resuming = null;
    }
  }

  async #tryOnce(cause: LossCause, since: number, signal: AbortSignal): Promise<void> {
    const peer = await this.#o.redial(signal);
    this.#remote = peer.peer.remote;
    if (signal.aborted) return peer.close();
    if (peer.peer.tls?.session !== true) {
      peer.close();
      return this.stream.lose(this.#lost('it does not resume links any more'));
    }
    const { stream } = this;
    const received = stream.received;
    const greeting = new Greeting(peer, this.#o.answerMs ?? 10_000, signal);
    const ageMs = performance.now() - this.#began;
    const open = { session: this.#id, instance, received };
    greeting.connection.write(
      encodeOpen(this.#opened === null ? { ...open, t: 'begin', ageMs } : { ...open, t: 'resume', ageMs }),
    );
    await greeting.answered(opened => {
      if (opened.t === 'refused') return this.#refused(opened);
      // It says of a session that it has just been told of that it is new: nothing of it has ever arrived.
      const fits = opened.t === 'new' ? this.#opened === null && opened.received === 0 : true;
      if (!fits || !stream.couldGoOnAt(opened.received)) {
        stream.lose(this.#lost(`it says that it received ${opened.received} bytes`));
        return false;
      }
      this.#opened = opened;
      const again = stream.attach(greeting.connection, opened.received);
      const ms = performance.now() - since;
      const fields = { remote: this.#remote, ms: Math.round(ms), sentAgain: again };
      this.#o.log.info(fields, 'link resumed');
      this.#o.onResumed?.(cause, ms);
      return true;
    });
  }

  #refused(opened: Opened & { readonly t: 'refused' }): false {
    const restarted = this.#opened !== null && !this.#opened.instance.equals(opened.instance);
    this.stream.lose(this.#lost(restarted ? 'it was started anew meanwhile' : REFUSED[opened.reason]));
    return false;
  }

  #lost(why: string): LinkError {
    return new LinkError('ERR_LINK_SESSION_LOST', `the link to ${this.#remote} was not resumed: ${why}`);
  }
}

/** A connection until its other end has said whether the session goes on there. */
class Greeting implements ConnectionUser {
  readonly connection: SessionConnection;
  readonly #signal: AbortSignal;
  readonly #timeoutMs: number;
  #take: ((opened: Opened) => boolean) | null = null;
  #settle: (error: LinkError | null) => void = () => {};

  constructor(peer: VerifiedPeer, timeoutMs: number, signal: AbortSignal) {
    this.connection = new SessionConnection(peer, this);
    this.#timeoutMs = timeoutMs;
    this.#signal = signal;
  }

  /**
   * Hands the answer to `take`, which gives the connection to somebody else or answers false.
   * @throws LinkError when none came
   */
  answered(take: (opened: Opened) => boolean): Promise<void> {
    const { connection } = this;
    const { remote } = connection.peer.peer;
    this.#take = take;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => this.#settle(new LinkError('ERR_LINK_CLOSED', 'the session ended'));
      const timer = setTimeout(() => {
        const what = `${remote} did not say within ${this.#timeoutMs} ms whether it resumes the link`;
        this.#settle(new LinkError('ERR_LINK_TIMEOUT', what));
      }, this.#timeoutMs);
      this.#settle = error => {
        clearTimeout(timer);
        this.#signal.removeEventListener('abort', onAbort);
        this.#settle = () => {};
        if (error === null) return resolve();
        connection.drop();
        reject(error);
      };
      this.#signal.addEventListener('abort', onAbort, { once: true });
      if (this.#signal.aborted) onAbort();
    });
  }

  onBytes(): void {
    this.onBroken('it sent calls before it answered');
  }

  onControl(control: Parameters<ConnectionUser['onControl']>[0]): boolean {
    if (control.t !== 'opened' || this.#take === null) {
      this.onBroken('it answered something else');
      return false;
    }
    const taken = this.#take(control.opened);
    this.#take = null;
    if (!taken) this.connection.close();
    this.#settle(null);
    return taken;
  }

  onBroken(reason: string): void {
    const { remote } = this.connection.peer.peer;
    this.#settle(new LinkError('ERR_LINK_SESSION_LOST', `${remote} broke the session: ${reason}`));
  }

  onWritable(): void {}

  onLost(): void {
    const { remote } = this.connection.peer.peer;
    const failure = this.connection.failure();
    this.#settle(failure ?? new LinkError('ERR_LINK_CLOSED', `${remote} ended the link without a word`));
  }
}
