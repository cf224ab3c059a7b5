// SPDX-License-Identifier: Apache-2.0
// Reading and rewriting envelopes in place, for relays: whom a request is for, its payload, a response's code. Walks
// the bytes; never decodes a message and never trusts a length.
import { TtrpcError } from './errors.js';
import { MAX_MESSAGE_LENGTH } from './frame.js';
import {
  afterVarint,
  FieldCursor,
  readTag,
  readUint32,
  skipValue,
  varintLength,
  viewOf,
  writeVarint,
} from './wire.js';

/** Whom a request is for. */
export interface RequestTarget {
  readonly service: string;
  readonly method: string;
}

export type PeekResult =
  | { readonly t: 'target'; readonly target: RequestTarget }
  /** Only for an incomplete head: these bytes do not tell yet. */
  | { readonly t: 'more' }
  /** No request envelope begins like this. */
  | { readonly t: 'bad' };

/** Longest name of a service or method, in bytes, that {@link peekRequestTarget} accepts. */
export const MAX_NAME_LENGTH = 1024;

const SERVICE = 0x0a;
const METHOD = 0x12;
const PAYLOAD = 0x1a;

const more: PeekResult = { t: 'more' };
const bad: PeekResult = { t: 'bad' };

/**
 * Finds service and method in the first bytes of a request envelope.
 *
 * The answer for a head seen before is the same object again, so the usual case allocates nothing.
 *
 * @param bytes Holds the envelope, or its beginning, at `from` to `to`.
 * @param complete Whether that is the whole envelope. If not, the target is told as soon as both names are there;
 *   a later field may still override a name, so what depends on the method for safety asks again with the whole
 *   envelope, where the last one of a repeated field wins as it does for every protobuf decoder.
 */
export function peekRequestTarget(
  bytes: Uint8Array,
  complete: boolean,
  from = 0,
  to = bytes.length,
): PeekResult {
  const prefix = canonicalPrefix(bytes, from, to);
  if (prefix > 0) {
    const view = viewOf(bytes);
    const known = seen[slotOf(view, from, prefix)];
    if (known !== undefined && isAt(bytes, view, from, known, prefix)) {
      if (!complete || isPlainRest(bytes, from + prefix, to)) return known.result;
    }
  }
  return peekSlowly(bytes.subarray(from, to), complete, prefix);
}

/** Length of `0a len service 12 len method` with one-byte lengths, or 0 when the head begins otherwise. */
function canonicalPrefix(bytes: Uint8Array, from: number, to: number): number {
  if (to - from < 4 || bytes[from] !== SERVICE) return 0;
  const service = bytes[from + 1] ?? 255;
  const tag = from + 2 + service;
  if (service >= 128 || tag + 1 >= to || bytes[tag] !== METHOD) return 0;
  const method = bytes[tag + 1] ?? 255;
  const length = 4 + service + method;
  return method < 128 && length <= to - from ? length : 0;
}

/** Whether the fields from `from` on are whole and none of them is a service or a method again. */
function isPlainRest(bytes: Uint8Array, from: number, to: number): boolean {
  // Most requests have a payload and nothing else, and most payloads a length of one byte or two.
  if (bytes[from] === PAYLOAD && to - from > 3) {
    const low = bytes[from + 1] ?? 0;
    const high = bytes[from + 2] ?? 0;
    const after = low < 128 ? from + 2 + low : from + 3 + (low & 127) + (high << 7);
    if ((low < 128 || high < 128) && after === to) return true;
  }
  for (let at = from; at < to;) {
    const tag = readTag(bytes, at, to);
    if (tag < 0 || tag === SERVICE || tag === METHOD) return false;
    at = skipValue(bytes, afterVarint, to, tag);
    if (at < 0) return false;
  }
  return true;
}

interface SeenHead {
  readonly bytes: Uint8Array;
  /** The same in words of four bytes, as far as they go: they are compared faster. */
  readonly words: readonly number[];
  readonly result: PeekResult;
}

/** Heads seen, by hash. One slot each and no chains, so hostile names cost a decode and displace a neighbour. */
const SLOTS = 256;
const seen: (SeenHead | undefined)[] = Array.from({ length: SLOTS });

/** From the length and the end of the method's name, in which the methods of a service differ. */
function slotOf(view: DataView, from: number, length: number): number {
  const hash = Math.imul(view.getInt32(from + length - 4), 0x9e37_79b1) + length;
  return (hash ^ (hash >>> 16)) & (SLOTS - 1);
}

function isAt(bytes: Uint8Array, view: DataView, from: number, head: SeenHead, length: number): boolean {
  if (head.bytes.length !== length) return false;
  const { words } = head;
  let at = 0;
  for (let i = 0; i < words.length; i++, at += 4) if (view.getInt32(from + at) !== words[i]) return false;
  for (; at < length; at++) if (bytes[from + at] !== head.bytes[at]) return false;
  return true;
}

function peekSlowly(head: Uint8Array, complete: boolean, prefix: number): PeekResult {
  let service: Uint8Array | null = null;
  let method: Uint8Array | null = null;
  const fields = new FieldCursor(head);
  for (;;) {
    const whole = fields.next();
    const named = fields.tag === SERVICE || fields.tag === METHOD;
    // Also of a name that is not all here yet.
    if (named && fields.end - fields.value > MAX_NAME_LENGTH) return bad;
    if (!whole) break;
    if (!named) continue;
    const name = head.subarray(fields.value, fields.end);
    if (fields.tag === SERVICE) service = name;
    else method = name;
    if (!complete && service !== null && method !== null) break;
  }
  if (fields.fault !== null && (complete || !fields.short)) return bad;
  if (!complete && (service === null || method === null)) return more;
  return remember(head, prefix, service ?? noName, method ?? noName);
}

const noName = new Uint8Array(0);

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function remember(head: Uint8Array, prefix: number, service: Uint8Array, method: Uint8Array): PeekResult {
  let target: RequestTarget;
  try {
    target = { service: utf8.decode(service), method: utf8.decode(method) };
  } catch {
    return bad;
  }
  const result: PeekResult = { t: 'target', target };
  // Only when the two names are the ones of the prefix: a name repeated later in the envelope stays out.
  if (
    prefix > 0 &&
    service.byteOffset === head.byteOffset + 2 &&
    4 + service.length + method.length === prefix
  ) {
    if (method.byteOffset === head.byteOffset + 4 + service.length) {
      const bytes = Uint8Array.prototype.slice.call(head, 0, prefix);
      const view = new DataView(bytes.buffer, bytes.byteOffset, prefix);
      const words = Array.from({ length: prefix >> 2 }, (_, i) => view.getInt32(4 * i));
      seen[slotOf(view, 0, prefix)] = { bytes, words, result };
    }
  }
  return result;
}

/**
 * The request message inside an envelope: its last payload field, as a view; empty when there is none.
 * @throws TtrpcError ERR_TTRPC_BAD_REQUEST
 */
export function readRequestPayload(envelope: Uint8Array): Uint8Array {
  const found = findPayloads(envelope);
  return found === null ? noName : envelope.subarray(found.from, found.to);
}

/**
 * The same envelope around another message. All other fields, known or not, keep their bytes and their order; of
 * several payload fields only the last, the one that counts, is kept.
 * @throws TtrpcError ERR_TTRPC_BAD_REQUEST, or ERR_TTRPC_OVERSIZE when the result fits no frame
 */
export function replaceRequestPayload(envelope: Uint8Array, message: Uint8Array): Buffer {
  const found = findPayloads(envelope);
  const field = 1 + varintLength(message.length) + message.length;
  const kept = found === null ? envelope.length : envelope.length - found.bytes;
  const total = found === null && message.length === 0 ? kept : kept + field;
  if (total > MAX_MESSAGE_LENGTH) {
    throw new TtrpcError(
      'ERR_TTRPC_OVERSIZE',
      `a request of ${total} bytes is over the limit of ${MAX_MESSAGE_LENGTH}`,
    );
  }
  const result = Buffer.allocUnsafe(total);
  let written = 0;
  const fields = new FieldCursor(envelope);
  while (fields.next()) {
    if (fields.tag !== PAYLOAD) {
      result.set(envelope.subarray(fields.start, fields.end), written);
      written += fields.end - fields.start;
    } else if (fields.end === found?.to) {
      written = writePayload(result, written, message);
    }
  }
  if (found === null && message.length > 0) writePayload(result, written, message);
  return result;
}

function writePayload(result: Buffer, position: number, message: Uint8Array): number {
  result[position] = PAYLOAD;
  const at = writeVarint(result, position + 1, message.length);
  result.set(message, at);
  return at + message.length;
}

interface PayloadPlace {
  readonly from: number;
  readonly to: number;
  /** Bytes of all payload fields together, tags and lengths included. */
  readonly bytes: number;
}

function findPayloads(envelope: Uint8Array): PayloadPlace | null {
  let found: PayloadPlace | null = null;
  let bytes = 0;
  const fields = new FieldCursor(envelope);
  while (fields.next()) {
    if (fields.tag !== PAYLOAD) continue;
    bytes += fields.end - fields.start;
    found = { from: fields.value, to: fields.end, bytes };
  }
  if (fields.fault === null) return found;
  throw new TtrpcError(
    'ERR_TTRPC_BAD_REQUEST',
    `the request envelope is malformed at byte ${fields.start}: ${fields.fault}`,
  );
}

const STATUS = 0x0a;
const RESPONSE_PAYLOAD = 0x12;
const STATUS_CODE = 0x08;

/**
 * The status code at the beginning of a response envelope, or null when these bytes do not tell.
 *
 * An empty head stands for an empty response, which is OK. Anything but a status in the first place tells that the
 * call went well, because senders write fields in order; a response that puts its status last is told null or OK.
 *
 * @param bytes Holds the envelope, or its beginning, at `from` to `to`.
 */
export function peekResponseCode(bytes: Uint8Array, from = 0, to = bytes.length): number | null {
  if (from === to) return 0;
  const first = bytes[from];
  if (first === RESPONSE_PAYLOAD) return 0;
  // An empty status, with which some servers say that all went well.
  if (first === STATUS && to - from > 1 && bytes[from + 1] === 0) return 0;
  const tag = readTag(bytes, from, to);
  if (tag === RESPONSE_PAYLOAD) return 0;
  if (tag !== STATUS) return null;
  const length = readUint32(bytes, afterVarint, to);
  if (length < 0) return null;
  const end = afterVarint + length;
  const available = Math.min(end, to);
  const fields = new FieldCursor(bytes, { from: afterVarint, to: available });
  while (fields.next()) {
    // Senders write the code first; what follows is text this function has no reason to wait for.
    if (fields.tag === STATUS_CODE) return int32At(bytes, fields.value, fields.end);
  }
  return fields.fault === null && available === end ? 0 : null;
}

/** The lower 32 bits of a whole varint. */
function int32At(bytes: Uint8Array, from: number, to: number): number {
  let value = 0;
  for (let i = from, shift = 0; i < to && shift < 32; i++, shift += 7)
    value |= ((bytes[i] ?? 0) & 0x7f) << shift;
  return value;
}
