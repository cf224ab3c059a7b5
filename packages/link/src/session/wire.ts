// SPDX-License-Identifier: Apache-2.0
// The control frames of a resumable link, as bytes: who opens or resumes which session, how much has arrived, and the end.
// They have ttrpc's header with stream id 0, which no call can have, and stand between its frames. No sockets here.
import { HEADER_LENGTH, writeHeader } from '@peerpod-tls/ttrpc/relay';

/** The name that both ends agree on in the TLS handshake (RFC 7301). */
export const SESSION_PROTOCOL = 'peerpod-link/1';

/** Kinds of control frames. ttrpc's own types are small numbers, and its flags are free here for the variant. */
const ControlType = { open: 0xe0, opened: 0xe1, ack: 0xe2, end: 0xe3 } as const;

/** Bytes of a session's id, and of the id of a process that has one end. */
export const ID_BYTES = 16;

/** What the dialling end says first on each connection of a session. */
export interface Open {
  /** `begin`: it has heard nothing of this session yet. `resume`: it has, and has received so many bytes. */
  readonly t: 'begin' | 'resume';
  readonly session: Buffer;
  /** Of the dialling process: sessions of an earlier one will not be resumed. */
  readonly instance: Buffer;
  readonly received: number;
  /** How long ago this session was first offered, in milliseconds; 0 when it is now. */
  readonly ageMs: number;
}

const REFUSALS = ['unknown', 'offset'] as const;
/**
 * Why a session is not resumed.
 *
 * - `unknown` no such session of this client is kept · `offset` it names bytes that were never sent, or are not kept any more
 */
export type SessionRefusal = (typeof REFUSALS)[number];

/** What the listening end says first on each connection of a session. */
export type Opened = (
  | { readonly t: 'new' }
  | { readonly t: 'resumed' }
  | { readonly t: 'refused'; readonly reason: SessionRefusal }
) & {
  /** Of the listening process. */
  readonly instance: Buffer;
  /** How long a session is kept without a connection, in milliseconds. */
  readonly graceMs: number;
  readonly received: number;
};

export type Control =
  | { readonly t: 'open'; readonly open: Open }
  | { readonly t: 'opened'; readonly opened: Opened }
  | { readonly t: 'ack'; readonly received: number }
  /** No more bytes follow; `over`: nor are any taken. */
  | { readonly t: 'end'; readonly over: boolean };

const OPEN_BYTES = 2 * ID_BYTES + 8 + 4;
const OPENED_BYTES = ID_BYTES + 4 + 8 + 1;
const ACK_BYTES = 8;

/** Longest control frame, header included: more than this is claimed by none of ours. */
export const LONGEST_CONTROL = HEADER_LENGTH + OPEN_BYTES;

const OPEN_KINDS = ['begin', 'resume'] as const;
const OPENED_KINDS = ['new', 'resumed', 'refused'] as const;
const LARGEST_MS = 0xffff_ffff;

export function encodeOpen({ t, session, instance, received, ageMs }: Open): Buffer {
  const frame = frameOf(ControlType.open, OPEN_KINDS.indexOf(t), OPEN_BYTES);
  session.copy(frame, HEADER_LENGTH);
  instance.copy(frame, HEADER_LENGTH + ID_BYTES);
  writeCount(frame, HEADER_LENGTH + 2 * ID_BYTES, received);
  frame.writeUInt32BE(msOf(ageMs), HEADER_LENGTH + 2 * ID_BYTES + 8);
  return frame;
}

export function encodeOpened(opened: Opened): Buffer {
  const frame = frameOf(ControlType.opened, OPENED_KINDS.indexOf(opened.t), OPENED_BYTES);
  opened.instance.copy(frame, HEADER_LENGTH);
  frame.writeUInt32BE(msOf(opened.graceMs), HEADER_LENGTH + ID_BYTES);
  writeCount(frame, HEADER_LENGTH + ID_BYTES + 4, opened.received);
  const reason = opened.t === 'refused' ? REFUSALS.indexOf(opened.reason) : 0;
  frame.writeUInt8(reason, HEADER_LENGTH + ID_BYTES + 12);
  return frame;
}

export function encodeAck(received: number): Buffer {
  const frame = frameOf(ControlType.ack, 0, ACK_BYTES);
  writeCount(frame, HEADER_LENGTH, received);
  return frame;
}

export function encodeEnd(over: boolean): Buffer {
  return frameOf(ControlType.end, over ? 1 : 0, 0);
}

/**
 * The control frame that these bytes are, all of them. Null for what is none: another length than its kind has, an unknown
 * kind or variant, a count beyond what a number holds. What is returned shares no memory with them.
 */
export function decodeControl(frame: Buffer): Control | null {
  const variant = frame[9] ?? 0;
  const body = frame.subarray(HEADER_LENGTH);
  switch (frame[8]) {
    case ControlType.open:
      return decodeOpen(variant, body);
    case ControlType.opened:
      return decodeOpened(variant, body);
    case ControlType.ack: {
      const received = body.length === ACK_BYTES && variant === 0 ? readCount(body, 0) : null;
      return received === null ? null : { t: 'ack', received };
    }
    case ControlType.end:
      return body.length === 0 && variant <= 1 ? { t: 'end', over: variant === 1 } : null;
    default:
      return null;
  }
}

function decodeOpen(variant: number, body: Buffer): Control | null {
  const t = OPEN_KINDS[variant];
  if (t === undefined || body.length !== OPEN_BYTES) return null;
  const received = readCount(body, 2 * ID_BYTES);
  if (received === null) return null;
  const session = Buffer.from(body.subarray(0, ID_BYTES));
  const instance = Buffer.from(body.subarray(ID_BYTES, 2 * ID_BYTES));
  return {
    t: 'open',
    open: { t, session, instance, received, ageMs: body.readUInt32BE(2 * ID_BYTES + 8) },
  };
}

function decodeOpened(variant: number, body: Buffer): Control | null {
  const t = OPENED_KINDS[variant];
  if (t === undefined || body.length !== OPENED_BYTES) return null;
  const received = readCount(body, ID_BYTES + 4);
  const reason = REFUSALS[body.readUInt8(ID_BYTES + 12)];
  if (received === null || reason === undefined) return null;
  const instance = Buffer.from(body.subarray(0, ID_BYTES));
  const common = { instance, graceMs: body.readUInt32BE(ID_BYTES), received };
  return { t: 'opened', opened: t === 'refused' ? { t, reason, ...common } : { t, ...common } };
}

function frameOf(type: number, flags: number, length: number): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_LENGTH + length);
  writeHeader(frame, { length, streamId: 0, type, flags });
  return frame;
}

function msOf(ms: number): number {
  return Math.min(LARGEST_MS, Math.max(0, Math.round(ms)));
}

/** Counts are 64 bits on the wire; here they are numbers, exact up to nine petabytes. */
function writeCount(bytes: Buffer, at: number, count: number): void {
  bytes.writeUInt32BE(Math.floor(count / 0x1_0000_0000), at);
  bytes.writeUInt32BE(count % 0x1_0000_0000, at + 4);
}

function readCount(bytes: Buffer, at: number): number | null {
  const count = bytes.readUInt32BE(at) * 0x1_0000_0000 + bytes.readUInt32BE(at + 4);
  return Number.isSafeInteger(count) ? count : null;
}
