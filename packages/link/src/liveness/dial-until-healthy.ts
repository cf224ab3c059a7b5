// SPDX-License-Identifier: Apache-2.0
// Dials until an agent answers through the link, a deadline is over, or a reason shows up that no waiting heals.
import { deadline, messageOf, sleep } from '@peerpod-tls/base';
import { dialLink, type DialOptions } from '../tls/dial.js';
import { isPermanent, LinkError } from '../errors.js';
import { checkHealth } from './health.js';
import { certificateText, hostPort, type PeerInfo } from '../tls/verify-peer.js';

export interface DialUntilHealthyOptions extends DialOptions {
  /** For everything together, in milliseconds. */
  readonly deadlineMs: number;
  /** How long one health check may take, in milliseconds. Default 10 000. */
  readonly checkTimeoutMs?: number;
  /** Told of each try that failed. */
  onAttempt?(attempt: number, error: LinkError): void;
}

export interface HealthyLink {
  readonly peer: PeerInfo;
  readonly attempts: number;
  /** All of it, waiting included. */
  readonly ms: number;
  /** The try that succeeded: connect, handshake, health check. */
  readonly lastTryMs: number;
}

/** Between two tries: this part of the time gone so far, which is then what a pod that is ready waits for nothing. */
const WAIT_PART = 1 / 10;
const SHORTEST_WAIT_MS = 20;
const LONGEST_WAIT_MS = 500;
/** After a refusal: time for a forwarder that restarts. */
const REFUSED_WAIT_MS = 200;
/** So often in a row a link may close right after its handshake before that is taken for a refusal. */
const CLOSED_AT_ONCE_LIMIT = 2;

/**
 * Waits until the agent behind the address answers grpc.Health/Check. The links it opens for that are closed again.
 * @throws LinkError of the last try: at once when it is permanent, else when the deadline is over
 */
export async function dialUntilHealthy(o: DialUntilHealthyOptions): Promise<HealthyLink> {
  const started = performance.now();
  using signal = deadline(Math.ceil(o.deadlineMs), o.signal);
  let closedAtOnce = 0;
  let before: LinkError | null = null;
  for (let attempts = 1; ; attempts++) {
    let failed: LinkError;
    const tried = performance.now();
    try {
      const peer = await attempt(o, signal);
      const now = performance.now();
      return { peer, attempts, ms: now - started, lastTryMs: now - tried };
    } catch (error) {
      failed =
        error instanceof LinkError
          ? error
          : new LinkError('ERR_LINK_CLOSED', messageOf(error), { cause: error });
    }
    o.onAttempt?.(attempts, failed);
    if (o.signal.aborted) throw new LinkError('ERR_LINK_CLOSED', 'the dial was given up', { cause: failed });
    closedAtOnce = failed.code === 'ERR_LINK_TLS_REFUSED' ? closedAtOnce + 1 : 0;
    if (isPermanent(failed) || closedAtOnce >= CLOSED_AT_ONCE_LIMIT) throw failed;
    const pause = pauseAfter(failed, performance.now() - started);
    // A try that the deadline cut short knows less than the one before it.
    if (signal.aborted) throw over(o, attempts, before ?? failed);
    if (performance.now() - started + pause >= o.deadlineMs) throw over(o, attempts, failed);
    before = failed;
    await sleep(pause, o.signal).catch(() => {});
  }
}

function pauseAfter(failed: LinkError, elapsedMs: number): number {
  const shortest = failed.code === 'ERR_LINK_TLS_REFUSED' ? REFUSED_WAIT_MS : SHORTEST_WAIT_MS;
  const wait = Math.min(LONGEST_WAIT_MS, Math.max(shortest, elapsedMs * WAIT_PART));
  return wait * (1 + Math.random() / 4);
}

async function attempt(o: DialUntilHealthyOptions, signal: AbortSignal): Promise<PeerInfo> {
  const link = await dialLink({ ...o, signal });
  const ownCertificate = o.security.t === 'tls' ? certificateText(o.security.material().leaf) : undefined;
  await checkHealth(link, {
    timeoutMs: o.checkTimeoutMs ?? 10_000,
    signal,
    ...(ownCertificate === undefined ? {} : { ownCertificate }),
  });
  return link.peer;
}

function over(o: DialUntilHealthyOptions, attempts: number, last: LinkError): LinkError {
  return new LinkError(
    last.code,
    `no answer from the agent behind ${hostPort(o.host, o.port)} within ${o.deadlineMs} ms and ${attempts === 1 ? '1 try' : `${attempts} tries`}; the last: ${last.message}`,
    { hint: last.hint, cause: last, refusal: last.refusal },
  );
}
