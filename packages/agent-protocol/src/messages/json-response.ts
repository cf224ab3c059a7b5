// SPDX-License-Identifier: Apache-2.0
// A protobuf message as JSON for a person to read. Fields of a newer agent that the schema does not know are left out.
import { messageOf } from '@peerpod-tls/base';
import { AgentProtocolError } from '../errors.js';
import { findMethodSchema } from '../methods/methods.js';
import { messageIn, type Field, type MessageType } from './schema.js';

/**
 * The answer of a method as JSON: names as in the .proto file, enums by name (a number when newer than the schema),
 * bytes as base64, 64-bit numbers as decimal strings. Numbers, texts and lists appear even when empty; messages and
 * optional fields only when sent.
 *
 * @param method as findMethod takes it
 * @param side which of the method's two messages the bytes are. Default: the response
 * @throws AgentProtocolError ERR_AGENT_UNKNOWN_METHOD, ERR_AGENT_BAD_MESSAGE
 */
export function messageToJson(
  method: string,
  bytes: Uint8Array,
  side: 'request' | 'response' = 'response',
): unknown {
  const found = findMethodSchema(method);
  const type = found[side];
  try {
    return inOrder(type, type.toObject(type.decode(bytes), FORM));
  } catch (cause) {
    throw new AgentProtocolError(
      'ERR_AGENT_BAD_MESSAGE',
      `the ${side} of ${found.method} cannot be read: ${messageOf(cause)}`,
      { cause },
    );
  }
}

const FORM = { longs: String, enums: String, bytes: String, defaults: true } as const;

/** protobufjs puts lists first and null for a message that was not sent. */
function inOrder(type: MessageType, values: unknown): unknown {
  const given = new Map(Object.entries(values ?? {}));
  const shown: [string, unknown][] = [];
  for (const field of type.fieldsArray) {
    const value: unknown = given.get(field.name);
    if (value !== undefined && value !== null) shown.push([field.name, fieldInOrder(field, value)]);
  }
  return Object.fromEntries(shown);
}

function fieldInOrder(field: Field, value: unknown): unknown {
  const message = messageIn(field);
  if (message === null) return value;
  if (Array.isArray(value)) return value.map(item => inOrder(message, item));
  if (!field.map) return inOrder(message, value);
  return Object.fromEntries(Object.entries(value ?? {}).map(([key, item]) => [key, inOrder(message, item)]));
}
