// SPDX-License-Identifier: Apache-2.0
// The .proto files as data: which methods there are, and the fields of each message. Reads the generated schema once.
import { schema } from '../../gen/schema.js';

const scalarTypes = ['string', 'bytes', 'bool', 'int32', 'uint32', 'int64', 'uint64'] as const;
export type ScalarType = (typeof scalarTypes)[number];

export type FieldType =
  | { readonly t: 'scalar'; readonly scalar: ScalarType }
  | { readonly t: 'enum'; readonly values: ReadonlyMap<string, number> }
  | { readonly t: 'message'; readonly name: string };

export interface FieldSchema {
  /** As in the .proto file. */
  readonly name: string;
  readonly number: number;
  readonly type: FieldType;
  /** The type as a person reads it: `string`, `repeated grpc.Mount`, `map<string, string>`. */
  readonly text: string;
  readonly cardinality: 'single' | 'optional' | 'repeated' | 'map';
}

export interface MessageSchema {
  readonly name: string;
  readonly fields: readonly FieldSchema[];
}

export interface MethodSchema {
  readonly service: string;
  readonly method: string;
  readonly request: string;
  readonly response: string;
}

type Node = Readonly<Record<string, unknown>>;

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function nodeAt(node: Node, key: string): Node | null {
  const value = node[key];
  return isNode(value) ? value : null;
}

function textAt(node: Node, key: string): string {
  const value = node[key];
  if (typeof value !== 'string') throw new Error(`internal error: the generated schema has no ${key}`);
  return value;
}

/** Every type of the schema under its full name. */
const nodes = new Map<string, Node>();
const methods: MethodSchema[] = [];

function gather(node: Node, path: readonly string[]): void {
  for (const [name, child] of Object.entries(node)) {
    if (!isNode(child)) continue;
    const here = [...path, name];
    const nested = nodeAt(child, 'nested');
    if (nested !== null) gather(nested, here);
    nodes.set(here.join('.'), child);
  }
}

function resolve(type: string, from: string): string {
  const scope = from.split('.');
  for (let depth = scope.length; depth >= 0; depth--) {
    const candidate = [...scope.slice(0, depth), type].join('.');
    if (nodes.has(candidate)) return candidate;
  }
  throw new Error(`internal error: the generated schema has no type ${type}`);
}

if (isNode(schema)) gather(schema, []);
for (const [service, node] of nodes) {
  for (const [method, types] of Object.entries(nodeAt(node, 'methods') ?? {})) {
    if (!isNode(types)) continue;
    const request = resolve(textAt(types, 'requestType'), service);
    const response = resolve(textAt(types, 'responseType'), service);
    methods.push({ service, method, request, response });
  }
}

/** The methods of all services, in the order of the .proto files. */
export const allMethods: readonly MethodSchema[] = methods;

const messages = new Map<string, MessageSchema>();

/** The fields of a message, by its full name. */
export function messageSchema(name: string): MessageSchema {
  const known = messages.get(name);
  if (known !== undefined) return known;
  const node = nodes.get(name);
  if (node === undefined) throw new Error(`internal error: the generated schema has no message ${name}`);
  const fields = Object.entries(nodeAt(node, 'fields') ?? {}).map(([field, facts]) =>
    fieldSchema(field, facts, name),
  );
  const message = { name, fields };
  messages.set(name, message);
  return message;
}

function fieldSchema(name: string, facts: unknown, message: string): FieldSchema {
  if (!isNode(facts) || typeof facts['id'] !== 'number')
    throw new Error(`internal error: field ${name} has no number`);
  const written = textAt(facts, 'type');
  const type = fieldType(written, message);
  const word = type.t === 'message' ? type.name : written;
  const number = facts['id'];
  if ('keyType' in facts) return { name, number, type, cardinality: 'map', text: `map<string, ${word}>` };
  if (facts['rule'] === 'repeated')
    return { name, number, type, cardinality: 'repeated', text: `repeated ${word}` };
  const optional = nodeAt(facts, 'options')?.['proto3_optional'] === true;
  return { name, number, type, cardinality: optional ? 'optional' : 'single', text: word };
}

function fieldType(written: string, message: string): FieldType {
  const scalar = scalarTypes.find(known => known === written);
  if (scalar !== undefined) return { t: 'scalar', scalar };
  const name = resolve(written, message);
  const values = nodeAt(nodes.get(name) ?? {}, 'values');
  if (values === null) return { t: 'message', name };
  const numbers = new Map<string, number>();
  for (const [label, number] of Object.entries(values))
    if (typeof number === 'number') numbers.set(label, number);
  return { t: 'enum', values: numbers };
}
