// SPDX-License-Identifier: Apache-2.0
// Tells in the log that a certificate is going to expire: at start, once a day, and at the minute it does. The wall
// clock decides, which may be stepped both ways.
import { atDate, startTimer } from '@peerpod-tls/base';
import type { Logger } from 'pino';
import { DAY_MS, daysUntil } from './days.js';
import type { Expiry } from './expiries.js';

/** Time to make certificates anew and to recreate pods, in days. */
const WARN_DAYS = 30;

export interface ExpiryWatch {
  /** Looks and reports now, as after a reload. */
  look(): void;
  close(): void;
}

export interface ExpiryWatchOptions {
  /** The wall clock, in milliseconds since 1970. Default `Date.now`. */
  readonly now?: () => number;
  /** Longest time between two looks at the clock, in milliseconds. Default 60 000. */
  readonly lookMs?: number;
}

/** Reports now and from then on, until closed. */
export function watchExpiries(
  expiries: () => readonly Expiry[],
  log: Logger,
  options: ExpiryWatchOptions = {},
): ExpiryWatch {
  const now = options.now ?? Date.now;
  let cancel: readonly (() => void)[] = [];
  const close = (): void => {
    for (const end of cancel) end();
    cancel = [];
  };
  const look = (): void => {
    close();
    const found = expiries();
    report(found, log, now());
    const next = nextLine(found, now());
    // The day is one of monotonic time: after a step backwards nobody waits for the old date.
    const daily = startTimer(DAY_MS, look, { ref: false });
    cancel = next === null ? [daily] : [daily, atDate(next, look, options)];
  };
  look();
  return { look, close };
}

/** Logs every certificate that has less than `WARN_DAYS` left. */
function report(expiries: readonly Expiry[], log: Logger, now: number): void {
  for (const { kind, subject, notAfter } of expiries) {
    const days = daysUntil(notAfter, now);
    if (days >= WARN_DAYS) continue;
    const fields = { kind, subject, notAfter: notAfter.toISOString(), days };
    if (days < 0) log.error(fields, 'certificate expired');
    else log.warn(fields, 'certificate expires soon');
  }
}

/** When the next certificate comes near its end, or to it. */
function nextLine(expiries: readonly Expiry[], now: number): Date | null {
  const lines = expiries
    .flatMap(({ notAfter }) => [notAfter.getTime() - WARN_DAYS * DAY_MS + 1, notAfter.getTime() + 1])
    .filter(line => line > now);
  return lines.length === 0 ? null : new Date(Math.min(...lines));
}
