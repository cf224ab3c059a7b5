// SPDX-License-Identifier: Apache-2.0
// JSON that a person typed, as a protobuf message. Everything is checked here, since protobufjs' own conversion takes
// anything for anything; what does not fit is refused with its path.
import Long from 'long';
import { AgentProtocolError } from '../errors.js';
import { findMethodSchema } from '../methods/methods.js';
import { enumIn, messageIn, nameOf, type Field, type MessageType } from './schema.js';

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
  const { request, method: name } = findMethodSchema(method);
  return request.encode(messageFrom(request, json ?? {}, name)).finish();
}

/** The name protobuf's JSON form gives a field. */
export function camelCase(name: string): string {
  return name.replace(/(?<=.)_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

type Values = Record<string, unknown>;

function messageFrom(type: MessageType, json: unknown, path: string): Values {
  const given = new Map<string, unknown>();
  for (const [key, value] of Object.entries(objectOf(json, path))) {
    const field = type.fieldsArray.find(known => known.name === key || camelCase(known.name) === key);
    if (field === undefined) {
      const names = type.fieldsArray.map(known => known.name).join(', ');
      throw new AgentProtocolError('ERR_AGENT_BAD_JSON', `${path} has no field ${JSON.stringify(key)}`, {
        hint:
          names === '' ? `${nameOf(type)} has no fields: give {} or nothing` : `${nameOf(type)} has ${names}`,
      });
    }
    if (given.has(field.name))
      throw new AgentProtocolError('ERR_AGENT_BAD_JSON', `${path}.${field.name} is given twice`);
    given.set(field.name, value === null ? null : fieldFrom(field, value, `${path}.${field.name}`));
  }
  return Object.fromEntries(given);
}

function fieldFrom(field: Field, json: unknown, path: string): unknown {
  if (field.map) {
    const entries = Object.entries(objectOf(json, path));
    return Object.fromEntries(
      entries.map(([key, value]) => [key, valueFrom(field, value, `${path}[${JSON.stringify(key)}]`)]),
    );
  }
  if (!field.repeated) return valueFrom(field, json, path);
  if (!Array.isArray(json)) throw mismatch(path, json, 'a list');
  return json.map((item: unknown, index) => valueFrom(field, item, `${path}[${index}]`));
}

function objectOf(json: unknown, path: string): object {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw mismatch(path, json, 'an object');
  return json;
}

/** One value as the encoder takes it, which itself checks nothing. */
function valueFrom(field: Field, json: unknown, path: string): unknown {
  const message = messageIn(field);
  if (message !== null) return messageFrom(message, json, path);
  const values = enumIn(field);
  if (values !== null) return enumNumber(values, json, path);
  switch (field.type) {
    case 'string':
      if (typeof json !== 'string') throw mismatch(path, json, 'a string');
      if (loneSurrogate.test(json)) throw mismatch(path, json, 'a string of whole characters');
      return json;
    case 'bytes':
      if (typeof json !== 'string' || !base64.test(json)) throw mismatch(path, json, 'bytes as base64');
      return Buffer.from(json, 'base64');
    case 'bool':
      if (typeof json !== 'boolean') throw mismatch(path, json, 'true or false');
      return json;
    case 'int32':
    case 'uint32':
      return Number(wholeNumber(field.type, json, path));
    case 'int64':
    case 'uint64':
      return Long.fromString(wholeNumber(field.type, json, path), field.type === 'uint64');
    default:
      throw new Error(`internal error: ${path} is of type ${field.type}, which no message had so far`);
  }
}

/** A whole number in range, in decimal, which holds all 64 bits. */
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

function enumNumber(values: Readonly<Record<string, number>>, json: unknown, path: string): number {
  for (const [name, number] of Object.entries(values)) if (json === name || json === number) return number;
  throw mismatch(path, json, `one of ${Object.keys(values).join(', ')}`);
}

function mismatch(path: string, json: unknown, wanted: string): AgentProtocolError {
  const text = JSON.stringify(json) ?? String(json);
  const shown = text.length > 80 ? `${text.slice(0, 80)}...` : text;
  return new AgentProtocolError('ERR_AGENT_BAD_JSON', `${path} is ${shown}, not ${wanted}`);
}
