// SPDX-License-Identifier: Apache-2.0
// One line per refused connection, at a rate a flood cannot raise. Nothing is decided here.
import type { Refusal, RefusalRule } from '@peerpod-tls/certs';
import type { Logger } from 'pino';

/** The rule a connection broke: one of a certificate's, or of the connection before there was one. */
export type PeerRefusalRule =
  | RefusalRule
  | 'silent'
  | 'slow-handshake'
  | 'hung-up'
  | 'handshake-failed'
  | 'not-named'
  | 'refused-by-peer'
  | 'speaks-plain-ttrpc'
  | 'speaks-http'
  | 'not-tls'
  | 'too-many-handshakes'
  | 'too-many-peers'
  | 'too-many-from-address';

/** A connection that was turned away. Safe to log. */
export interface PeerRefusal {
  readonly remote: string;
  readonly rule: PeerRefusalRule;
  readonly text: string;
  /** Certificate, issuer, anchors and clock, when a certificate was the reason. */
  readonly refusal: Refusal | null;
}

/** Lines at once, and then a second: enough for a person, not enough to fill a disk. */
const BURST = 20;
const PER_SECOND = 2;

export class RefusalLog {
  readonly #log: Logger;
  readonly #tell: (refusal: PeerRefusal) => void;
  #tokens = BURST;
  #since = performance.now();
  #suppressed = 0;

  constructor(log: Logger, tell: (refusal: PeerRefusal) => void) {
    this.#log = log;
    this.#tell = tell;
  }

  add(refusal: PeerRefusal): void {
    this.#tell(refusal);
    const { remote, rule, text, refusal: detail } = refusal;
    // Scanners and health checks of load balancers connect and leave; nobody needs to act on that.
    if (rule === 'hung-up') return this.#log.debug({ remote, rule, text }, 'connection refused');
    const now = performance.now();
    this.#tokens = Math.min(BURST, this.#tokens + ((now - this.#since) / 1000) * PER_SECOND);
    this.#since = now;
    if (this.#tokens < 1) {
      this.#suppressed++;
      return;
    }
    this.#tokens--;
    const suppressed = this.#suppressed === 0 ? {} : { suppressed: this.#suppressed };
    this.#suppressed = 0;
    this.#log.warn(
      { remote, rule, text, ...detail, ...suppressed },
      detail === null ? 'connection refused' : 'peer refused',
    );
  }
}
