// SPDX-License-Identifier: Apache-2.0
// The status a shim reads for an error of ours: code, reason and way out on one line, since one line is all it shows.
import { codeOf, reasonOf } from '@peerpod-tls/base';
import { StatusCode, StatusError } from '@peerpod-tls/ttrpc';

const STATUS: Readonly<Record<string, number>> = {
  ERR_ADAPTOR_SANDBOX_ID: StatusCode.invalidArgument,
  ERR_ADAPTOR_SANDBOX_DIR: StatusCode.failedPrecondition,
  ERR_ADAPTOR_PROVIDER_SILENT: StatusCode.unavailable,
  ERR_ADAPTOR_REQUEST: StatusCode.invalidArgument,
  ERR_ADAPTOR_USER_DATA_TOO_BIG: StatusCode.invalidArgument,
  ERR_ADAPTOR_INITDATA: StatusCode.invalidArgument,
  ERR_FILE_DISK_FULL: StatusCode.resourceExhausted,
  ERR_PROVIDER_DISK_FULL: StatusCode.resourceExhausted,
  ERR_PROVIDER_CONFIG: StatusCode.failedPrecondition,
  ERR_PROVIDER_UNAVAILABLE: StatusCode.unavailable,
  ERR_PROVIDER_ABORTED: StatusCode.canceled,
  ERR_LINK_TIMEOUT: StatusCode.deadlineExceeded,
  ERR_LINK_UNROUTABLE: StatusCode.unavailable,
  ERR_LINK_CLOSED_PORT: StatusCode.unavailable,
  ERR_LINK_STALLED: StatusCode.unavailable,
  ERR_LINK_EXPIRED: StatusCode.unavailable,
  ERR_LINK_TTRPC_SILENT: StatusCode.unavailable,
  ERR_LINK_AGENT_DOWN: StatusCode.unavailable,
  ERR_LINK_TLS_REFUSED: StatusCode.unauthenticated,
  ERR_LINK_PEER_REFUSED: StatusCode.unauthenticated,
  ERR_LINK_WRONG_NAME: StatusCode.unauthenticated,
  ERR_LINK_NOT_TLS: StatusCode.failedPrecondition,
  ERR_LINK_PEER_SPEAKS_TLS: StatusCode.failedPrecondition,
  ERR_LINK_NO_COMMON_TLS: StatusCode.failedPrecondition,
};

export function alreadyExists(id: string): StatusError {
  return new StatusError(StatusCode.alreadyExists, `there is a sandbox ${id} already`);
}

export function notFound(id: string): StatusError {
  return new StatusError(StatusCode.notFound, `there is no sandbox ${JSON.stringify(id.slice(0, 128))}`);
}

/** Makes a status of anything a handler's work threw. A status passes as it is. */
export function statusOf(error: unknown): unknown {
  const code = codeOf(error);
  if (code === 'ERR_TTRPC_STATUS') return error;
  return new StatusError(STATUS[code] ?? StatusCode.unknown, `${reasonOf(error)}${hintOf(error, code)}`, {
    cause: error,
  });
}

/** Provider errors of what comes before any instance: their ways out are the provider's own sentences. */
const BEFORE_ANY: ReadonlySet<string> = new Set(['ERR_PROVIDER_CONFIG', 'ERR_PROVIDER_UNAVAILABLE']);

/** Only ways out of ours travel: other hints of a provider may quote a console, and that stays in the adaptor's log. */
function hintOf(error: unknown, code: string): string {
  if (!/^ERR_(?:LINK|ADAPTOR)_/.test(code) && !BEFORE_ANY.has(code)) return '';
  if (code === 'ERR_ADAPTOR_INSTANCE_DEAD' || typeof error !== 'object' || error === null) return '';
  return 'hint' in error && typeof error.hint === 'string' ? ` (${error.hint})` : '';
}
