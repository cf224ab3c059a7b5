// SPDX-License-Identifier: Apache-2.0
// JSON that a person typed, as a protobuf message. Checks everything; what does not fit is refused with its path.
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

type Writer = protobuf.Writer;

const loneSurrogate = /\p{Surrogate}/u;

const ranges = {
  int32: [-(2n ** 31n), 2n ** 31n - 1n],
  uint32: [0n, 2n ** 32n - 1n],
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
  uint64: [0n, 2n ** 64n - 1n],
} as const;

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/**
 * The bytes of a method's request, from JSON: field names as in the .proto file or in camel case, enums by name or
 * number, bytes as base64, 64-bit numbers as decimal strings or as numbers a double holds exactly. `null` leaves a
 * field out.
 *
 * @param method as findMethod takes it
 * @param json what JSON.parse gave; undefined is the empty request
 * @throws AgentProtocolError ERR_AGENT_UNKNOWN_METHOD, ERR_AGENT_BAD_JSON
 */
export function jsonToMessage(method: string, json: unknown): Uint8Array {
  const found = findMethodSchema(method);
  const writer = protobuf.Writer.create();
  writeMessage(writer, messageSchema(found.request), json ?? {}, found.method);
  return writer.finish();
}

/** The name protobuf's JSON form gives a field. */
export function camelCase(name: string): string {
  return name.replace(/(?<=.)_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function writeMessage(writer: Writer, schema: MessageSchema, json: unknown, path: string): void {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw mismatch(path, json, 'an object');
  const given = new Map<FieldSchema, unknown>();
  for (const [key, value] of Object.entries(json)) {
    const field = schema.fields.find(known => known.name === key || camelCase(known.name) === key);
    if (field === undefined) {
      const names = schema.fields.map(known => known.name).join(', ');
      throw new AgentProtocolError('ERR_AGENT_BAD_JSON', `${path} has no field ${JSON.stringify(key)}`, {
        hint:
          names === '' ? `${schema.name} has no fields: give {} or nothing` : `${schema.name} has ${names}`,
      });
    }
    if (given.has(field))
      throw new AgentProtocolError('ERR_AGENT_BAD_JSON', `${path}.${field.name} is given twice`);
    given.set(field, value);
  }
  for (const field of schema.fields) {
    const value = given.get(field);
    if (value !== undefined && value !== null) writeField(writer, field, value, `${path}.${field.name}`);
  }
}

function writeField(writer: Writer, field: FieldSchema, json: unknown, path: string): void {
  switch (field.cardinality) {
    case 'repeated':
      if (!Array.isArray(json)) throw mismatch(path, json, 'a list');
      for (const [index, item] of json.entries())
        writeTagged(writer, field.number, field.type, item, `${path}[${index}]`);
      return;
    case 'map':
      if (typeof json !== 'object' || json === null || Array.isArray(json))
        throw mismatch(path, json, 'an object');
      for (const [key, value] of Object.entries(json)) {
        writer.uint32(field.number * 8 + 2).fork();
        writer.uint32(10).string(key);
        writeTagged(writer, 2, field.type, value, `${path}[${JSON.stringify(key)}]`);
        writer.ldelim();
      }
      return;
    case 'single':
    case 'optional':
      writeTagged(writer, field.number, field.type, json, path);
  }
}

function writeTagged(writer: Writer, number: number, type: FieldType, json: unknown, path: string): void {
  switch (type.t) {
    case 'message':
      writer.uint32(number * 8 + 2).fork();
      writeMessage(writer, messageSchema(type.name), json, path);
      writer.ldelim();
      return;
    case 'enum':
      writer.uint32(number * 8).int32(enumNumber(type.values, json, path));
      return;
    case 'scalar':
      writeScalar(writer, number, type.scalar, json, path);
  }
}

function writeScalar(writer: Writer, number: number, scalar: ScalarType, json: unknown, path: string): void {
  switch (scalar) {
    case 'string':
      if (typeof json !== 'string') throw mismatch(path, json, 'a string');
      if (loneSurrogate.test(json)) throw mismatch(path, json, 'a string of whole characters');
      writer.uint32(number * 8 + 2).string(json);
      return;
    case 'bytes':
      if (typeof json !== 'string' || !base64.test(json)) throw mismatch(path, json, 'bytes as base64');
      writer.uint32(number * 8 + 2).bytes(Buffer.from(json, 'base64'));
      return;
    case 'bool':
      if (typeof json !== 'boolean') throw mismatch(path, json, 'true or false');
      writer.uint32(number * 8).bool(json);
      return;
    case 'int32':
    case 'int64':
      writer.uint32(number * 8).int64(wholeNumber(scalar, json, path));
      return;
    case 'uint32':
    case 'uint64':
      writer.uint32(number * 8).uint64(wholeNumber(scalar, json, path));
  }
}

/** A whole number in range, in decimal: the writer takes text and so loses no bit of 64. */
function wholeNumber(scalar: keyof typeof ranges, json: unknown, path: string): string {
  const [least, most] = ranges[scalar];
  const wanted = `a whole number from ${least} to ${most}`;
  const safe = typeof json === 'number' && Number.isSafeInteger(json);
  if (!safe && !(typeof json === 'string' && /^-?[0-9]{1,20}$/.test(json))) {
    throw mismatch(
      path,
      json,
      typeof json === 'number' && Number.isInteger(json)
        ? `${wanted}, in quotes when it is this long`
        : wanted,
    );
  }
  const value = BigInt(json);
  if (value < least || value > most) throw mismatch(path, json, wanted);
  return value.toString();
}

function enumNumber(values: ReadonlyMap<string, number>, json: unknown, path: string): number {
  for (const [name, number] of values) if (json === name || json === number) return number;
  throw mismatch(path, json, `one of ${[...values.keys()].join(', ')}`);
}

function mismatch(path: string, json: unknown, wanted: string): AgentProtocolError {
  const text = JSON.stringify(json) ?? String(json);
  const shown = text.length > 80 ? `${text.slice(0, 80)}...` : text;
  return new AgentProtocolError('ERR_AGENT_BAD_JSON', `${path} is ${shown}, not ${wanted}`);
}
