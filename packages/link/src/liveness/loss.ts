// SPDX-License-Identifier: Apache-2.0
// Why a link was lost, or could not be made again, as one word of a closed set: for a metric's label. Decides nothing.
import { codeOf } from '@peerpod-tls/base';
import { type LinkErrorCode } from '../errors.js';

/**
 * - `closed` the other side hung up, or its process ended · `reset` its kernel reset the connection
 * - `stalled` its network swallows packets · `timed-out` keepalives, or a try, were not answered in time
 * - `unroutable` there is no way to it · `closed-port` nobody listens there
 * - `expired` a certificate's time was over · `refused` one side refused the other
 * - `tls` its records could not be read · `protocol` it sent what is no ttrpc · `other` anything else
 */
export const LOSS_CAUSES = [
  'closed',
  'reset',
  'stalled',
  'timed-out',
  'unroutable',
  'closed-port',
  'expired',
  'refused',
  'tls',
  'protocol',
  'other',
] as const;
export type LossCause = (typeof LOSS_CAUSES)[number];

const BY_CODE: Readonly<Record<LinkErrorCode, LossCause>> = {
  ERR_LINK_UNROUTABLE: 'unroutable',
  ERR_LINK_CLOSED_PORT: 'closed-port',
  ERR_LINK_TIMEOUT: 'timed-out',
  ERR_LINK_TLS_REFUSED: 'refused',
  ERR_LINK_PEER_REFUSED: 'refused',
  ERR_LINK_WRONG_NAME: 'refused',
  ERR_LINK_NOT_TLS: 'tls',
  ERR_LINK_PEER_SPEAKS_TLS: 'tls',
  ERR_LINK_NO_COMMON_TLS: 'tls',
  ERR_LINK_TTRPC_SILENT: 'timed-out',
  ERR_LINK_AGENT_DOWN: 'closed',
  ERR_LINK_CLOSED: 'closed',
  ERR_LINK_STALLED: 'stalled',
  ERR_LINK_EXPIRED: 'expired',
  ERR_LINK_SESSION_LOST: 'closed',
  ERR_LINK_LISTEN: 'other',
  ERR_LINK_OWN_MATERIAL: 'other',
  ERR_LINK_UNVERIFIED: 'other',
  ERR_LINK_SETTING: 'other',
};

/** The cause in an error of a link, which is null when the other side simply ended it. */
export function lossCause(error: unknown): LossCause {
  if (error === null || error === undefined) return 'closed';
  const code = codeOf(error);
  if (code === 'ECONNRESET' || code === 'EPIPE') return 'reset';
  if (code.startsWith('ERR_SSL') || code.startsWith('ERR_TLS') || code === 'EPROTO') return 'tls';
  if (!Object.hasOwn(BY_CODE, code)) return 'other';
  const cause = BY_CODE[code as LinkErrorCode];
  // One code for everybody who hangs up, and one for a session; what the socket reported lies below it.
  if (
    (code !== 'ERR_LINK_CLOSED' && code !== 'ERR_LINK_SESSION_LOST') ||
    typeof error !== 'object' ||
    !('cause' in error)
  )
    return cause;
  const below = lossCause(error.cause);
  return below === 'other' ? cause : below;
}
