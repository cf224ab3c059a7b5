// SPDX-License-Identifier: Apache-2.0
// Tells in the log that a certificate is going to expire, at start and once a day, long before it does.
import type { Logger } from 'pino';
import type { Identity } from './identity.js';

const DAY_MS = 86_400_000;
/** Time to make certificates anew and to recreate pods, in days. */
const WARN_DAYS = 30;

/** Logs every certificate that has less than `WARN_DAYS` left. */
function reportExpiries(identity: Identity, log: Logger, now: Date = new Date()): void {
  for (const { kind, subject, notAfter } of identity.expiries()) {
    const days = Math.floor((notAfter.getTime() - now.getTime()) / DAY_MS);
    if (days >= WARN_DAYS) continue;
    const fields = { kind, subject, notAfter: notAfter.toISOString(), days };
    if (days < 0) log.error(fields, 'certificate expired');
    else log.warn(fields, 'certificate expires soon');
  }
}

/** Reports now and then daily, until the returned function is called. */
export function watchExpiries(identity: Identity, log: Logger): () => void {
  reportExpiries(identity, log);
  const timer = setInterval(() => reportExpiries(identity, log), DAY_MS).unref();
  return () => clearInterval(timer);
}
