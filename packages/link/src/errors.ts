// SPDX-License-Identifier: Apache-2.0
// What can go wrong with a link, as one error class with a closed set of codes. The words for a refused certificate
// come from certs; the translation of Node's and OpenSSL's own errors lives in node-error.ts.
import { CodedError, type ErrorDetails } from '@peerpod-tls/base';
import type { Refusal } from '@peerpod-tls/certs';

/**
 * The situations a person can act on differently:
 *
 * - `UNROUTABLE` no way to the address · `CLOSED_PORT` nobody listens there · `TIMEOUT` no answer in time
 * - `TLS_REFUSED` the peer refused us · `PEER_REFUSED` we refuse the peer (see `refusal`) · `WRONG_NAME` its
 *   certificate is for somebody else · `NOT_TLS` it speaks no TLS · `PEER_SPEAKS_TLS` it speaks TLS to a plain port
 * - `NO_COMMON_TLS` no version or cipher both sides allow
 * - `TTRPC_SILENT` the link stands and no call is answered · `AGENT_DOWN` an answer that says the agent does not serve
 * - `CLOSED` the link, or whoever asked for it, went away · `STALLED` it stood, and its network swallows packets
 * - `EXPIRED` it stood until the first of its certificates expired
 * - `SESSION_LOST` it could not be resumed, or not within the time it is kept for
 * - `OWN_MATERIAL` OpenSSL would refuse what we were about to present
 * - `SETTING` an environment variable of ours has no value it may have
 * - `LISTEN` the address cannot be listened on · `UNVERIFIED` a network socket that nobody verified met a relay (a bug)
 */
export type LinkErrorCode =
  | 'ERR_LINK_UNROUTABLE'
  | 'ERR_LINK_CLOSED_PORT'
  | 'ERR_LINK_TIMEOUT'
  | 'ERR_LINK_TLS_REFUSED'
  | 'ERR_LINK_PEER_REFUSED'
  | 'ERR_LINK_WRONG_NAME'
  | 'ERR_LINK_NOT_TLS'
  | 'ERR_LINK_PEER_SPEAKS_TLS'
  | 'ERR_LINK_NO_COMMON_TLS'
  | 'ERR_LINK_TTRPC_SILENT'
  | 'ERR_LINK_AGENT_DOWN'
  | 'ERR_LINK_CLOSED'
  | 'ERR_LINK_STALLED'
  | 'ERR_LINK_EXPIRED'
  | 'ERR_LINK_SESSION_LOST'
  | 'ERR_LINK_LISTEN'
  | 'ERR_LINK_OWN_MATERIAL'
  | 'ERR_LINK_SETTING'
  | 'ERR_LINK_UNVERIFIED';

/** Codes that a second try cannot heal: somebody has to change a certificate, a name or a flag first. */
const PERMANENT: ReadonlySet<LinkErrorCode> = new Set([
  'ERR_LINK_TLS_REFUSED',
  'ERR_LINK_PEER_REFUSED',
  'ERR_LINK_WRONG_NAME',
  'ERR_LINK_NOT_TLS',
  'ERR_LINK_PEER_SPEAKS_TLS',
  'ERR_LINK_NO_COMMON_TLS',
  'ERR_LINK_UNVERIFIED',
]);

export interface LinkErrorDetail extends ErrorDetails {
  /** Why we refused the peer: rule, certificate, anchors and clocks. */
  readonly refusal?: Refusal | undefined;
  /** Only where the code alone does not decide it. */
  readonly permanent?: boolean;
}

export class LinkError extends CodedError<LinkErrorCode> {
  readonly refusal: Refusal | undefined;
  /** True when dialling again cannot help, so that a dial loop ends at once. */
  readonly permanent: boolean;

  constructor(code: LinkErrorCode, message: string, detail: LinkErrorDetail = {}) {
    super(code, message, detail);
    this.refusal = detail.refusal;
    this.permanent = detail.permanent ?? PERMANENT.has(code);
  }
}

/** Whether trying again is pointless. Reads the field, not the class, so that it also works on errors of a twin copy of this module. */
export function isPermanent(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'permanent' in error && error.permanent === true;
}
