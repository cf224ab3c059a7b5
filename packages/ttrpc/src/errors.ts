// SPDX-License-Identifier: Apache-2.0
// The two errors this package raises: TtrpcError for what went wrong between the two ends, StatusError for what
// the far end answered. Nothing here decides which of them applies.
import { CodedError } from '@peerpod-tls/base';

/** What can go wrong between two ends that speak ttrpc. */
export type TtrpcErrorCode =
  /** The connection ended; every open call gets this, with the text `ttrpc: closed`. */
  | 'ERR_TTRPC_CLOSED'
  /** A message of ours is longer than a frame may be. */
  | 'ERR_TTRPC_OVERSIZE'
  /** The peer broke a rule of the protocol. */
  | 'ERR_TTRPC_PROTOCOL'
  /** Bytes that are no request envelope. */
  | 'ERR_TTRPC_BAD_REQUEST'
  /** Bytes that are no response envelope, or a response message that does not decode. */
  | 'ERR_TTRPC_BAD_RESPONSE'
  /** The first bytes were a TLS record. */
  | 'ERR_TTRPC_PEER_SPEAKS_TLS'
  /** Something was sent on a stream that has ended. */
  | 'ERR_TTRPC_STREAM_CLOSED'
  /** No connection to the socket. */
  | 'ERR_TTRPC_CONNECT';

/** An error between the two ends. Branch on `code`. */
export class TtrpcError extends CodedError<TtrpcErrorCode> {}

/** One detail of a status: the wire form of `google.protobuf.Any`. */
export interface StatusDetail {
  readonly typeUrl: string;
  readonly value: Uint8Array;
}

/** A status other than OK: thrown by handlers to answer a call with it, received by callers. */
export class StatusError extends CodedError<'ERR_TTRPC_STATUS'> {
  /** One of {@link StatusCode}, or whatever number the peer sent. */
  readonly status: number;
  readonly details: readonly StatusDetail[];

  constructor(
    status: number,
    message: string,
    o: { details?: readonly StatusDetail[]; cause?: unknown } = {},
  ) {
    super('ERR_TTRPC_STATUS', message, { cause: o.cause });
    this.status = status;
    this.details = o.details ?? [];
  }
}

/** The error every call of an ended connection gets. The text is the one Go's client uses; kata looks for it. */
export function closedError(cause?: unknown): TtrpcError {
  return new TtrpcError('ERR_TTRPC_CLOSED', 'ttrpc: closed', { cause });
}
