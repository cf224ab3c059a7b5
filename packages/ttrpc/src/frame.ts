// SPDX-License-Identifier: Apache-2.0
// One ttrpc frame: ten bytes of header, then the payload. No sockets and no protobuf here.
// Facts: containerd/ttrpc PROTOCOL.md, version 1.2; the no-data flag is in its Go code only.

/** Bytes of a frame header. */
export const HEADER_LENGTH = 10;
/** Longest payload of a frame, in bytes. A longer one is refused at its header. */
export const MAX_MESSAGE_LENGTH = 4_194_304;

/** What a frame is. Receivers ignore types they do not know. */
export const FrameType = { request: 1, response: 2, data: 3 } as const;

/** Flags of request and data frames. A unary request has none. */
export const FrameFlag = {
  /** The sender will send nothing more on this stream. */
  remoteClosed: 1,
  /** The sender of this request will send data frames on its stream. */
  remoteOpen: 2,
  /** This data frame carries no message; without it an empty payload is an empty message. */
  noData: 4,
} as const;

export interface FrameHeader {
  /** Length of the payload in bytes, as claimed by the sender. */
  length: number;
  /** Odd: streams are opened by clients. */
  streamId: number;
  /** One of {@link FrameType}, or a number from the future. */
  type: number;
  /** A union of {@link FrameFlag}. */
  flags: number;
}

/**
 * Reads the header at `offset`.
 * @throws RangeError when fewer than ten bytes are there.
 */
export function readHeader(bytes: Buffer, offset = 0): FrameHeader {
  return {
    length: bytes.readUInt32BE(offset),
    streamId: bytes.readUInt32BE(offset + 4),
    type: bytes.readUInt8(offset + 8),
    flags: bytes.readUInt8(offset + 9),
  };
}

/**
 * Writes a header at `offset`.
 * @throws RangeError for a field that does not fit or a length over {@link MAX_MESSAGE_LENGTH}.
 */
export function writeHeader(bytes: Buffer, header: FrameHeader, offset = 0): void {
  if (header.length > MAX_MESSAGE_LENGTH) {
    throw new RangeError(
      `a ttrpc payload of ${header.length} bytes is over the limit of ${MAX_MESSAGE_LENGTH}`,
    );
  }
  bytes.writeUInt32BE(header.length, offset);
  bytes.writeUInt32BE(header.streamId, offset + 4);
  bytes.writeUInt8(header.type, offset + 8);
  bytes.writeUInt8(header.flags, offset + 9);
}

/**
 * One frame in one buffer, ready to be written.
 * @throws RangeError as {@link writeHeader}.
 */
export function encodeFrame(
  header: { streamId: number; type: number; flags?: number },
  payload: Uint8Array,
): Buffer {
  const { streamId, type, flags = 0 } = header;
  if (payload.length > MAX_MESSAGE_LENGTH) {
    throw new RangeError(
      `a ttrpc payload of ${payload.length} bytes is over the limit of ${MAX_MESSAGE_LENGTH}`,
    );
  }
  const frame = Buffer.allocUnsafe(HEADER_LENGTH + payload.length);
  writeHeader(frame, { length: payload.length, streamId, type, flags });
  frame.set(payload, HEADER_LENGTH);
  return frame;
}

/** How many leading bytes {@link looksLikeTls} needs before it can say yes. */
export const TLS_HEAD_LENGTH = 6;

/**
 * Whether these first bytes of a connection are a TLS record: a hello of a client or a server, or an alert, which
 * is what a TLS server sends to a peer that spoke ttrpc to it. Such bytes can never begin a valid ttrpc frame,
 * because they would claim a length far over the limit.
 */
export function looksLikeTls(head: Uint8Array): boolean {
  if (head.length < TLS_HEAD_LENGTH || head[1] !== 3 || (head[2] ?? 255) > 4) return false;
  if (head[0] === 0x16) return head[5] === 1 || head[5] === 2;
  return head[0] === 0x15 && head[3] === 0 && head[4] === 2;
}
