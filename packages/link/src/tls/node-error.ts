// SPDX-License-Identifier: Apache-2.0
// The one place where the error codes of Node's sockets and of OpenSSL become ours. No sockets here, and no decision
// about certificates: those are made in tls/verify-peer.ts.
import { codeOf, messageOf } from '@peerpod-tls/base';
import { LinkError, type LinkErrorCode } from '../errors.js';

/** What we were doing when the error came, for the words of it. */
export interface ErrorScene {
  /** `host:port` of the other side. */
  readonly remote: string;
  /** `dial` connecting · `handshake` TLS not up yet · `open` the link stood already. */
  readonly phase: 'dial' | 'handshake' | 'open';
  /** How our own certificate is called, so that a refused person knows which one was refused. */
  readonly ownCertificate?: string | undefined;
}

const UNROUTABLE = new Set([
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'EHOSTDOWN',
  'EADDRNOTAVAIL',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EAI_NODATA',
  'EINVAL',
  'EACCES',
  'EPERM',
]);

/** OpenSSL reasons by which the other side tells us that it refuses our certificate (RFC 8446 section 6.2). */
const REFUSED_ALERTS: readonly [RegExp, string][] = [
  [/ALERT_CERTIFICATE_REQUIRED/u, 'it requires a client certificate and got none'],
  [/ALERT_BAD_CERTIFICATE/u, 'it says bad certificate'],
  [/ALERT_UNSUPPORTED_CERTIFICATE/u, 'it says unsupported certificate, often the wrong purpose'],
  [/ALERT_CERTIFICATE_EXPIRED/u, 'it says our certificate has expired'],
  [/ALERT_CERTIFICATE_REVOKED/u, 'it says our certificate is revoked'],
  [/ALERT_CERTIFICATE_UNKNOWN/u, 'it says certificate unknown'],
  [/ALERT_UNKNOWN_CA/u, 'it does not know the issuer of our certificate'],
  [/ALERT_ACCESS_DENIED/u, 'it says access denied'],
  [/ALERT_DECRYPT_ERROR/u, 'it could not verify our signature'],
  [/ALERT_UNRECOGNIZED_NAME|UNRECOGNIZED_NAME/u, 'it does not serve the name we asked for'],
  [/ALERT_HANDSHAKE_FAILURE/u, 'it says handshake failure'],
];

const NO_COMMON =
  /PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|NO_SHARED_CIPHER|NO_SUITABLE|NO_PROTOCOLS_AVAILABLE|NO_SHARED_GROUP/u;

/** Reasons OpenSSL gives when what came is no TLS record at all. */
const NOT_TLS =
  /WRONG_VERSION_NUMBER|HTTP_REQUEST|HTTPS_PROXY_REQUEST|PACKET_LENGTH_TOO_LONG|BAD_RECORD_TYPE|UNEXPECTED_MESSAGE$/u;

/**
 * Turns anything a socket of a link reports into a {@link LinkError}; one that already is ours stays as it is.
 * The original is kept as `cause`.
 */
export function linkErrorFrom(error: unknown, scene: ErrorScene): LinkError {
  if (error instanceof LinkError) return error;
  const code = codeOf(error);
  const { remote } = scene;
  const make = (ours: LinkErrorCode, message: string, hint?: string): LinkError =>
    new LinkError(ours, message, { hint, cause: error });
  if (code === 'ECONNREFUSED')
    return make(
      'ERR_LINK_CLOSED_PORT',
      `nobody listens on ${remote}`,
      'see that the other side runs and which port it listens on',
    );
  if (code === 'ETIMEDOUT') return make('ERR_LINK_TIMEOUT', `${remote} did not answer in time`);
  if (UNROUTABLE.has(code))
    return make(
      'ERR_LINK_UNROUTABLE',
      `there is no way to ${remote} (${code})`,
      'see the address, the route and the firewall between',
    );
  const own =
    scene.ownCertificate === undefined ? 'our certificate' : `our certificate ${scene.ownCertificate}`;
  for (const [pattern, words] of REFUSED_ALERTS)
    if (pattern.test(code))
      return make(
        'ERR_LINK_TLS_REFUSED',
        `${remote} refused ${own}: ${words}`,
        'its log names the rule, and the anchors it expects',
      );
  if (NO_COMMON.test(code))
    return make(
      'ERR_LINK_NO_COMMON_TLS',
      `${remote} and this side have no TLS version or cipher in common (${code})`,
      'compare -tls-min-version and -tls-cipher-suites of both sides',
    );
  if (NOT_TLS.test(code))
    return make(
      'ERR_LINK_NOT_TLS',
      `${remote} does not speak TLS (${code})`,
      'is -disable-tls set on the other side?',
    );
  if (scene.phase === 'handshake' && (code === 'ECONNRESET' || code === 'EPIPE' || code === 'ERR_LINK_EOF'))
    return make(
      'ERR_LINK_CLOSED',
      `${remote} hung up during the TLS handshake`,
      'a plain port, a full listener, or a refusal that was not put into words: its log tells',
    );
  if (code.startsWith('ERR_SSL') || code.startsWith('ERR_TLS') || code === 'EPROTO')
    return make(
      scene.phase === 'open' ? 'ERR_LINK_CLOSED' : 'ERR_LINK_NOT_TLS',
      `TLS with ${remote} failed: ${messageOf(error)}`,
    );
  return make('ERR_LINK_CLOSED', `the link to ${remote} ended: ${code === '' ? messageOf(error) : code}`);
}

/**
 * The error for a link that was closed right after the handshake, before one byte of an answer. With TLS 1.3 that is
 * how a refusal of our certificate looks from here when the other side sends no alert (Node's never do).
 */
export function closedWithoutAnswer(
  remote: string,
  ownCertificate: string | undefined,
  cause?: unknown,
): LinkError {
  const own = ownCertificate === undefined ? 'our certificate' : `our certificate ${ownCertificate}`;
  return new LinkError(
    'ERR_LINK_TLS_REFUSED',
    `${remote} closed the link right after the handshake and without an answer: it refused ${own}`,
    // An inference: a forwarder that was just killed looks the same. Whoever dials again soon finds out.
    { hint: 'its log names the rule, and the anchors it expects', cause, permanent: false },
  );
}
