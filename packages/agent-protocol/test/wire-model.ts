// SPDX-License-Identifier: Apache-2.0
// Messages as lists of fields, so that a test can say what a rewrite should leave, byte for byte. Written without the sources under test.
import * as fc from 'fast-check';

/** One field of a message: a raw value of its wire type, or fields of its own. */
export type ModelField =
  | { readonly number: number; readonly t: 'raw'; readonly wireType: number; readonly raw: Buffer }
  | { readonly number: number; readonly t: 'bytes'; readonly bytes: Buffer }
  | { readonly number: number; readonly t: 'message'; readonly fields: readonly ModelField[] };

export function varint(value: number): Buffer {
  const out: number[] = [];
  let rest = BigInt(value);
  for (; rest > 127n; rest >>= 7n) out.push(Number(rest & 127n) | 128);
  out.push(Number(rest));
  return Buffer.from(out);
}

export function encodeModel(fields: readonly ModelField[]): Buffer {
  return Buffer.concat(
    fields.flatMap(field => {
      if (field.t === 'raw') return [varint(field.number * 8 + field.wireType), field.raw];
      const body = field.t === 'bytes' ? field.bytes : encodeModel(field.fields);
      return [varint(field.number * 8 + 2), varint(body.length), body];
    }),
  );
}

export function text(number: number, value: string): ModelField {
  return { number, t: 'bytes', bytes: Buffer.from(value) };
}

export function message(number: number, ...fields: ModelField[]): ModelField {
  return { number, t: 'message', fields };
}

/** A field no schema knows, of any wire type. */
export const unknownField: fc.Arbitrary<ModelField> = fc.oneof(
  fc.record({
    number: fc.integer({ min: 200, max: 2 ** 29 - 1 }),
    t: fc.constant('raw' as const),
    wireType: fc.constant(0),
    raw: fc.nat().map(varint),
  }),
  fc.record({
    number: fc.integer({ min: 200, max: 9_000 }),
    t: fc.constant('raw' as const),
    wireType: fc.constant(1),
    raw: fc.uint8Array({ minLength: 8, maxLength: 8 }).map(bytes => Buffer.from(bytes)),
  }),
  fc.record({
    number: fc.integer({ min: 200, max: 9_000 }),
    t: fc.constant('raw' as const),
    wireType: fc.constant(5),
    raw: fc.uint8Array({ minLength: 4, maxLength: 4 }).map(bytes => Buffer.from(bytes)),
  }),
  fc.record({
    number: fc.integer({ min: 200, max: 9_000 }),
    t: fc.constant('bytes' as const),
    bytes: fc.uint8Array({ maxLength: 300 }).map(bytes => Buffer.from(bytes)),
  }),
);

const word = fc.string({ maxLength: 200, unit: 'grapheme' });

const namespaceField = fc
  .record({
    type: fc.constantFrom('network', 'pid', 'mount', 'ipc', '', 'networks', 'NETWORK'),
    path: fc.constantFrom('', '/run/netns/podns', '/proc/1/ns/net'),
    extra: fc.array(unknownField, { maxLength: 2 }),
  })
  .map(({ type, path, extra }) => message(6, text(1, type), ...extra, text(2, path)));

const mountField = fc
  .tuple(word, word, fc.constantFrom('bind', 'tmpfs'))
  .map(([destination, source, type]) =>
    message(5, text(1, destination), text(2, source), text(3, type), text(4, 'ro')),
  );

/** Few keys, so that duplicates are common. */
export const annotationKey = fc.constantFrom('cdi.k8s.io/peer-pods', 'a', '', '__proto__');
const annotationField = fc
  .tuple(annotationKey, word)
  .map(([key, value]) => message(7, text(1, key), text(2, value)));

const linuxField = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: namespaceField },
      { weight: 1, arbitrary: unknownField },
      { weight: 1, arbitrary: fc.constant(text(5, '/kubepods/pod1')) },
    ),
    { maxLength: 8 },
  )
  .map(fields => message(8, ...fields));

const ociField = fc
  .tuple(
    linuxField,
    fc.array(
      fc.oneof(
        mountField,
        annotationField,
        unknownField,
        fc.constant(message(2, text(4, '/bin/sh'), text(5, 'PATH=/bin'))),
      ),
      { maxLength: 8 },
    ),
    fc.nat(),
  )
  .map(([linux, others, at]) => message(6, ...others.toSpliced(at % (others.length + 1), 0, linux)));

/** A CreateContainer request with one OCI and one Linux part among other and unknown fields in any order. */
export const createContainerModel: fc.Arbitrary<readonly ModelField[]> = fc
  .tuple(ociField, fc.array(fc.oneof(unknownField, fc.constant(text(1, 'c1'))), { maxLength: 4 }), fc.nat())
  .map(([oci, others, at]) => others.toSpliced(at % (others.length + 1), 0, oci));

/** Applies `change` to the fields of each message with that number. */
export function inside(
  fields: readonly ModelField[],
  number: number,
  change: (fields: readonly ModelField[]) => readonly ModelField[],
): readonly ModelField[] {
  return fields.map(field =>
    field.number === number && field.t === 'message' ? { ...field, fields: change(field.fields) } : field,
  );
}

/** The text of the last field with that number, as protobuf reads it. */
export function lastText(field: ModelField, number: number): string {
  if (field.t !== 'message') return '';
  const last = field.fields.findLast(inner => inner.number === number);
  return last?.t === 'bytes' ? last.bytes.toString() : '';
}
