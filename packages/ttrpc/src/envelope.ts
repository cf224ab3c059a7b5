// SPDX-License-Identifier: Apache-2.0
// The envelope around the messages of a call: the one place where this package meets the protobuf runtime. What a
// relay reads, changes or answers without that runtime is in peek.ts and response-envelope.ts.
import { messageOf } from '@peerpod-tls/base';
import Long from 'long';
import { envelope } from '../gen/envelope.js';
import { StatusError, TtrpcError } from './errors.js';
import type { ResponseEnvelope } from './response-envelope.js';
import { isWellFormed } from './wire.js';

/** One pair of metadata. A key may occur several times. */
export interface Metadata {
  readonly key: string;
  readonly value: string;
}

export interface RequestEnvelope {
  /** Full name, such as `grpc.AgentService`. */
  readonly service: string;
  readonly method: string;
  /** The request message. After decoding it is a view of the bytes that were decoded. */
  readonly payload: Uint8Array;
  /** How long the caller will wait, in nanoseconds; `0n` stands for no deadline. A negative one has passed. */
  readonly timeoutNano: bigint;
  readonly metadata: readonly Metadata[];
}

/** @throws RangeError when `timeoutNano` does not fit a signed 64-bit number. */
export function encodeRequest(request: RequestEnvelope): Buffer {
  const { service, method, payload, timeoutNano, metadata } = request;
  const bytes = envelope.Request.encode({
    service: wellFormed(service),
    method: wellFormed(method),
    payload,
    timeoutNano: toLong(timeoutNano),
    metadata: metadata.map(({ key, value }) => ({ key: wellFormed(key), value: wellFormed(value) })),
  }).finish();
  return asBuffer(bytes);
}

/** @throws TtrpcError ERR_TTRPC_BAD_REQUEST */
export function decodeRequest(bytes: Uint8Array): RequestEnvelope {
  const { service, method, payload, timeoutNano, metadata } = decodeWith(
    envelope.Request,
    bytes,
    'ERR_TTRPC_BAD_REQUEST',
    'request',
  );
  return {
    service,
    method,
    payload,
    timeoutNano: fromLong(timeoutNano),
    metadata: metadata.map(({ key, value }) => ({ key: key ?? '', value: value ?? '' })),
  };
}

/** @throws TtrpcError ERR_TTRPC_BAD_RESPONSE */
export function decodeResponse(bytes: Uint8Array): ResponseEnvelope {
  const { status, payload } = decodeWith(envelope.Response, bytes, 'ERR_TTRPC_BAD_RESPONSE', 'response');
  if (status === undefined || status === null) return { status: null, payload };
  return {
    status: {
      code: status.code ?? 0,
      message: status.message ?? '',
      details: (status.details ?? []).map(detail => ({
        typeUrl: detail.typeUrl ?? '',
        value: detail.value ?? new Uint8Array(0),
      })),
    },
    payload,
  };
}

/** The error a response stands for, or null for OK. */
export function errorOfResponse(response: ResponseEnvelope): StatusError | null {
  const { status } = response;
  if (status === null || status.code === 0) return null;
  return new StatusError(status.code, status.message, { details: status.details });
}

function decodeWith<T>(
  type: { decode(bytes: Uint8Array): T },
  bytes: Uint8Array,
  code: 'ERR_TTRPC_BAD_REQUEST' | 'ERR_TTRPC_BAD_RESPONSE',
  what: string,
): T {
  if (!isWellFormed(bytes))
    throw new TtrpcError(code, `the ${what} envelope is not a sequence of protobuf fields`);
  try {
    return type.decode(bytes);
  } catch (error) {
    const reason = messageOf(error);
    throw new TtrpcError(code, `the ${what} envelope does not decode: ${reason}`, { cause: error });
  }
}

/** protobufjs writes half a surrogate pair as bytes that are no UTF-8, and every peer refuses such a message. */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\ufffd');
}

const NO_TIME = Long.fromBits(0, 0, false);

/** Through the two halves, because the generated code writes 0 for a bigint and a double is not exact. */
function toLong(value: bigint): Long {
  if (value === 0n) return NO_TIME;
  if (BigInt.asIntN(64, value) !== value) throw new RangeError(`timeoutNano ${value} does not fit 64 bits`);
  return Long.fromBits(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)), false);
}

function fromLong(value: Long): bigint {
  if (value.low === 0 && value.high === 0) return 0n;
  return (BigInt(value.high) << 32n) | BigInt(value.low >>> 0);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
