// SPDX-License-Identifier: Apache-2.0
// Rewrites of a CreateContainer request as it lies on the wire. Pure: bytes in, bytes out, nothing decoded but what is asked for.
import { invalid, replaced, same, type RewriteResult, type Refused } from './rewrite-result.js';
import { eachOccurrence, findSingle, lastText, whole } from './find-field.js';
import * as known from './known-fields.js';
import { splice, type Enclosing, type Patch } from './splice.js';
import { encodeBytesField, FieldCursor } from '@peerpod-tls/ttrpc/relay';

const NETWORK = 'network';
const NOTHING = new Uint8Array(0);

/**
 * Makes the container join the network namespace at `path`: the request ends up with exactly one namespace of type
 * `network`. One that is there keeps its place and anything unknown in it; further ones are dropped. An empty path
 * changes nothing. Without an OCI or Linux part the request is refused with InvalidArgument.
 */
export function withNetworkNamespace(message: Uint8Array, path: string): RewriteResult {
  if (path === '') return same;
  const oci = locateOci(message);
  if ('t' in oci) return oci;
  const linux = findSingle(message, oci, known.spec.linux);
  if (linux.t === 'refused') return linux;
  if (linux.t === 'absent') return invalid('the request has no OCI.Linux');
  const wanted = Buffer.from(path);
  const patches: Patch[] = [];
  let kept = false;
  const refused = eachOccurrence(message, linux.field, known.linux.namespaces, entry => {
    const type = lastText(message, entry, known.namespace.type);
    if (typeof type !== 'string') return type;
    if (type !== NETWORK) return null;
    const current = lastText(message, entry, known.namespace.path);
    if (typeof current !== 'string') return current;
    if (kept) {
      patches.push({ start: entry.start, end: entry.end, bytes: NOTHING });
      return null;
    }
    kept = true;
    if (current === path) return null;
    const body = Buffer.concat([
      withoutField(message, entry, known.namespace.path.number),
      encodeBytesField(known.namespace.path.number, wanted),
    ]);
    patches.push({
      start: entry.start,
      end: entry.end,
      bytes: encodeBytesField(known.linux.namespaces.number, body),
    });
    return null;
  });
  if (refused !== null) return refused;
  if (!kept) {
    const body = Buffer.concat([
      encodeBytesField(known.namespace.type.number, Buffer.from(NETWORK)),
      encodeBytesField(known.namespace.path.number, wanted),
    ]);
    const bytes = encodeBytesField(known.linux.namespaces.number, body);
    patches.push({ start: linux.field.end, end: linux.field.end, bytes });
  }
  return patches.length === 0 ? same : replaced(splice(message, [oci, linux.field], patches));
}

/**
 * Sets annotations. A key that is there keeps its place and loses its duplicates, a new key goes to the end. Without
 * an OCI part the request is refused with InvalidArgument.
 */
export function withAnnotations(message: Uint8Array, set: ReadonlyMap<string, string>): RewriteResult {
  if (set.size === 0) return same;
  const oci = locateOci(message);
  if ('t' in oci) return oci;
  const places = new Map<string, Place>();
  const refused = eachOccurrence(message, oci, known.spec.annotations, entry => {
    const key = lastText(message, entry, known.annotation.key);
    if (typeof key !== 'string') return key;
    if (!set.has(key)) return null;
    const value = lastText(message, entry, known.annotation.value);
    if (typeof value !== 'string') return value;
    const place = places.get(key) ?? { value, entries: [] };
    place.value = value;
    place.entries.push({ start: entry.start, end: entry.end });
    places.set(key, place);
    return null;
  });
  if (refused !== null) return refused;
  const patches: Patch[] = [];
  const added: Uint8Array[] = [];
  for (const [key, value] of set) {
    const place = places.get(key);
    const bytes = encodeAnnotation(key, value);
    if (place === undefined) added.push(bytes);
    // Both runtimes let the last of several win, so one that already says it needs no rewrite.
    else if (place.value !== value) {
      for (const [index, entry] of place.entries.entries())
        patches.push({ ...entry, bytes: index === 0 ? bytes : NOTHING });
    }
  }
  if (added.length > 0) patches.push({ start: oci.end, end: oci.end, bytes: Buffer.concat(added) });
  if (patches.length === 0) return same;
  patches.sort((a, b) => a.start - b.start);
  return replaced(splice(message, [oci], patches));
}

interface Place {
  /** The value that counts: the last one. */
  value: string;
  readonly entries: { readonly start: number; readonly end: number }[];
}

/** The OCI part of the request, or why there is none to work on. */
function locateOci(message: Uint8Array): Enclosing | Refused {
  const oci = findSingle(message, whole(message), known.createContainer.oci);
  if (oci.t === 'refused') return oci;
  return oci.t === 'found' ? oci.field : invalid('the request has no OCI');
}

function withoutField(bytes: Uint8Array, within: Enclosing, number: number): Buffer {
  const kept: Uint8Array[] = [];
  const cursor = new FieldCursor(bytes, { from: within.value, to: within.end, plain: true });
  while (cursor.next()) if (cursor.number !== number) kept.push(bytes.subarray(cursor.start, cursor.end));
  return Buffer.concat(kept);
}

function encodeAnnotation(key: string, value: string): Buffer {
  const entry = [encodeBytesField(known.annotation.key.number, Buffer.from(key))];
  entry.push(encodeBytesField(known.annotation.value.number, Buffer.from(value)));
  return encodeBytesField(known.spec.annotations.number, Buffer.concat(entry));
}
