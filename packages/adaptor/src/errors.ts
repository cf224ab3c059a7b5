// SPDX-License-Identifier: Apache-2.0
// The adaptor's own error, with its closed list of codes. Errors of providers are in providers/errors.ts.

export type AdaptorErrorCode =
  | 'ERR_ADAPTOR_TLS_OPTIONS'
  | 'ERR_ADAPTOR_TLS_MODE'
  | 'ERR_ADAPTOR_STATE_IN_USE'
  | 'ERR_ADAPTOR_STATE_DIR'
  | 'ERR_ADAPTOR_STATE_NEWER'
  | 'ERR_ADAPTOR_STATE_CORRUPT'
  | 'ERR_ADAPTOR_IDENTITY'
  | 'ERR_ADAPTOR_IDENTITY_EXPIRED'
  | 'ERR_ADAPTOR_SANDBOX_ID'
  | 'ERR_ADAPTOR_REQUEST'
  | 'ERR_ADAPTOR_PODS_DIR'
  | 'ERR_ADAPTOR_LETTER_TOO_BIG'
  | 'ERR_ADAPTOR_NO_ADDRESS'
  | 'ERR_ADAPTOR_INSTANCE_DEAD'
  | 'ERR_ADAPTOR_INITDATA';

export class AdaptorError extends Error {
  readonly code: AdaptorErrorCode;
  readonly hint: string | undefined;

  constructor(
    code: AdaptorErrorCode,
    message: string,
    options: { hint?: string | undefined; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'AdaptorError';
    this.code = code;
    this.hint = options.hint;
  }
}

/** The message of anything that was thrown, on one line, with the first two causes behind it. */
export function reasonOf(error: unknown): string {
  const parts: string[] = [];
  let at: unknown = error;
  for (let depth = 0; depth < 3 && at !== undefined && at !== null; depth += 1) {
    const text = at instanceof Error ? at.message : String(at);
    const line = text.replaceAll(/\s*\n\s*/g, ' ').trim();
    if (line !== '' && !parts.some(part => part.includes(line))) parts.push(line);
    at = at instanceof Error ? at.cause : undefined;
  }
  return parts.join(': ') || 'no reason given';
}

/** The `code` of anything that was thrown, or an empty string. */
export function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : '';
}
