// SPDX-License-Identifier: Apache-2.0
// The failures the forwarder itself raises, before or beside the data path. Errors of TLS, frames and flags have their own rooms.

export type ForwarderErrorCode =
  'ERR_FORWARDER_CONFIG' | 'ERR_FORWARDER_AGENT_ABSENT' | 'ERR_FORWARDER_ABSTRACT_SOCKET';

export class ForwarderError extends Error {
  readonly code: ForwarderErrorCode;
  /** The way out, for a person at a terminal. */
  readonly hint: string | undefined;

  constructor(
    code: ForwarderErrorCode,
    message: string,
    options: { readonly hint?: string; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ForwarderError';
    this.code = code;
    this.hint = options.hint;
  }
}
