// SPDX-License-Identifier: Apache-2.0
// Writing response envelopes by hand: a program that only relays answers some calls itself and starts faster
// without a protobuf runtime. Reading them is in envelope.ts.
import type { StatusDetail, StatusError } from './errors.js';
import { encodeBytesField, writeVarint } from './wire.js';

export interface ResponseStatus {
  readonly code: number;
  readonly message: string;
  readonly details: readonly StatusDetail[];
}

export interface ResponseEnvelope {
  /** Null when the peer sent none, which stands for OK. */
  readonly status: ResponseStatus | null;
  /** The response message. After decoding it is a view of the bytes that were decoded. */
  readonly payload: Uint8Array;
}

export function encodeResponse(response: ResponseEnvelope): Buffer {
  const { status, payload } = response;
  if (status === null) return payload.length === 0 ? Buffer.alloc(0) : encodeBytesField(2, payload);
  const bytes = encodeBytesField(1, encodeStatus(status));
  return payload.length === 0 ? bytes : Buffer.concat([bytes, encodeBytesField(2, payload)]);
}

/** The envelope that answers a call with this error. */
export function statusEnvelope(error: StatusError): ResponseEnvelope {
  return {
    status: { code: error.status, message: error.message, details: error.details },
    payload: new Uint8Array(0),
  };
}

function encodeStatus(status: ResponseStatus): Buffer {
  return Buffer.concat([
    status.code === 0 ? noBytes : int32Field(1, status.code),
    status.message === '' ? noBytes : encodeBytesField(2, Buffer.from(status.message)),
    ...status.details.map(({ typeUrl, value }) =>
      encodeBytesField(
        3,
        Buffer.concat([
          typeUrl === '' ? noBytes : encodeBytesField(1, Buffer.from(typeUrl)),
          value.length === 0 ? noBytes : encodeBytesField(2, value),
        ]),
      ),
    ),
  ]);
}

const noBytes = Buffer.alloc(0);

/** An int32 travels as a varint of 64 bits, so a negative one takes ten bytes. */
function int32Field(number: number, value: number): Buffer {
  const bytes = Buffer.alloc(11);
  bytes[0] = number << 3;
  if (value >= 0) return bytes.subarray(0, writeVarint(bytes, 1, value));
  let rest = BigInt.asUintN(64, BigInt(value));
  for (let at = 1; at < 10; at++, rest >>= 7n) bytes[at] = Number(rest & 0x7fn) | 0x80;
  bytes[10] = Number(rest);
  return bytes;
}
