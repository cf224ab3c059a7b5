// SPDX-License-Identifier: Apache-2.0
// A protobuf message as JSON for a person to read. Fields of a newer agent that the schema does not know are left out.
import protobuf from 'protobufjs/minimal.js';
import { AgentProtocolError } from '../errors.js';
import { findMethodSchema } from '../methods/methods.js';
import {
  messageSchema,
  type FieldSchema,
  type FieldType,
  type MessageSchema,
  type ScalarType,
} from './schema.js';

export type JsonValue =
  string | number | boolean | readonly JsonValue[] | { readonly [key: string]: JsonValue };

type Reader = protobuf.Reader;

/**
 * The answer of a method as JSON: names as in the .proto file, enums by name, bytes as base64, 64-bit numbers as
 * decimal strings. Numbers, texts and lists appear even when empty; messages and optional fields only when sent.
 *
 * @param method as findMethod takes it
 * @param side which of the method's two messages the bytes are. Default: the response
 * @throws AgentProtocolError ERR_AGENT_UNKNOWN_METHOD, ERR_AGENT_BAD_MESSAGE
 */
export function messageToJson(
  method: string,
  bytes: Uint8Array,
  side: 'request' | 'response' = 'response',
): JsonValue {
  const found = findMethodSchema(method);
  try {
    return readMessage(protobuf.Reader.create(bytes), bytes.length, messageSchema(found[side]));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AgentProtocolError(
      'ERR_AGENT_BAD_MESSAGE',
      `the ${side} of ${found.method} cannot be read: ${reason}`,
      { cause },
    );
  }
}

/** Field values while a message is being read; entries, so that a map key like `__proto__` stays a key. */
type Values = Map<FieldSchema, JsonValue[] | Map<string, JsonValue> | JsonValue>;

function readMessage(reader: Reader, end: number, schema: MessageSchema): JsonValue {
  const values: Values = new Map();
  while (reader.pos < end) {
    const tag = reader.uint32();
    const field = schema.fields.find(known => known.number === tag >>> 3);
    if (field === undefined || !readField(reader, tag & 7, field, values)) reader.skipType(tag & 7);
  }
  if (reader.pos !== end) throw new RangeError('a field runs past the end');
  const shown: [string, JsonValue][] = [];
  for (const field of schema.fields) {
    const value = values.get(field) ?? emptyValue(field);
    if (value === null) continue;
    shown.push([field.name, value instanceof Map ? Object.fromEntries(value) : value]);
  }
  return Object.fromEntries(shown);
}

function emptyValue(field: FieldSchema): JsonValue | null {
  if (field.cardinality === 'repeated') return [];
  if (field.cardinality === 'map') return {};
  if (field.cardinality === 'optional' || field.type.t === 'message') return null;
  if (field.type.t === 'enum') return enumName(field.type.values, 0);
  return emptyScalar(field.type.scalar);
}

/** False when the wire type is not the field's, which makes it an unknown field. */
function readField(reader: Reader, wireType: number, field: FieldSchema, values: Values): boolean {
  const expected = wireTypeOf(field.cardinality === 'map' ? { t: 'message', name: '' } : field.type);
  if (field.cardinality === 'repeated' && expected === 0 && wireType === 2) {
    const list = listOf(values, field);
    const end = reader.uint32() + reader.pos;
    while (reader.pos < end) list.push(readValue(reader, field.type));
    return true;
  }
  if (wireType !== expected) return false;
  if (field.cardinality === 'repeated') listOf(values, field).push(readValue(reader, field.type));
  else if (field.cardinality === 'map') readMapEntry(reader, field, values);
  else values.set(field, readValue(reader, field.type));
  return true;
}

function listOf(values: Values, field: FieldSchema): JsonValue[] {
  const known = values.get(field);
  if (Array.isArray(known)) return known;
  const list: JsonValue[] = [];
  values.set(field, list);
  return list;
}

function readMapEntry(reader: Reader, field: FieldSchema, values: Values): void {
  let key = '';
  let value: JsonValue = field.type.t === 'scalar' ? emptyScalar(field.type.scalar) : {};
  const end = reader.uint32() + reader.pos;
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag === 10) key = reader.string();
    else if (tag === 16 + wireTypeOf(field.type)) value = readValue(reader, field.type);
    else reader.skipType(tag & 7);
  }
  const known = values.get(field);
  const map = known instanceof Map ? known : new Map<string, JsonValue>();
  map.set(key, value);
  values.set(field, map);
}

function readValue(reader: Reader, type: FieldType): JsonValue {
  if (type.t === 'enum') return enumName(type.values, reader.int32());
  if (type.t === 'message') {
    const length = reader.uint32();
    return readMessage(reader, reader.pos + length, messageSchema(type.name));
  }
  switch (type.scalar) {
    case 'string':
      return reader.string();
    case 'bytes':
      return Buffer.from(reader.bytes()).toString('base64');
    case 'bool':
      return reader.bool();
    case 'int32':
      return reader.int32();
    case 'uint32':
      return reader.uint32();
    case 'int64':
      return reader.int64().toString();
    case 'uint64':
      return reader.uint64().toString();
  }
}

function emptyScalar(scalar: ScalarType): JsonValue {
  if (scalar === 'bool') return false;
  if (scalar === 'int32' || scalar === 'uint32') return 0;
  return scalar === 'int64' || scalar === 'uint64' ? '0' : '';
}

/** An enum value newer than the schema stays a number. */
function enumName(values: ReadonlyMap<string, number>, number: number): JsonValue {
  for (const [name, known] of values) if (known === number) return name;
  return number;
}

function wireTypeOf(type: FieldType): number {
  if (type.t === 'message') return 2;
  return type.t === 'enum' || (type.scalar !== 'string' && type.scalar !== 'bytes') ? 0 : 2;
}
