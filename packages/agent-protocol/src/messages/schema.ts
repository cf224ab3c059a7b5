// SPDX-License-Identifier: Apache-2.0
// The .proto files as protobufjs sees them by reflection: which methods there are, and the fields of each message. Built
// at the first question, which takes 30 ms: programs that only speak the protocol use the generated classes.
import protobuf from 'protobufjs/light.js';
import { schema } from '../../gen/schema.js';

export type MessageType = protobuf.Type;
export type Field = protobuf.Field;

export interface MethodSchema {
  readonly service: string;
  readonly method: string;
  readonly request: MessageType;
  readonly response: MessageType;
}

let methods: readonly MethodSchema[] | null = null;

/** The methods of all services, in the order of the .proto files. */
export function allMethods(): readonly MethodSchema[] {
  methods ??= methodsBelow(protobuf.Root.fromJSON(schema).resolveAll());
  return methods;
}

function methodsBelow(namespace: protobuf.NamespaceBase): MethodSchema[] {
  return namespace.nestedArray.flatMap(nested => {
    if (nested instanceof protobuf.Service) return methodsOf(nested);
    return nested instanceof protobuf.Namespace ? methodsBelow(nested) : [];
  });
}

function methodsOf(service: protobuf.Service): MethodSchema[] {
  return service.methodsArray.map(
    ({ name, resolvedRequestType: request, resolvedResponseType: response }) => {
      if (!request || !response)
        throw new Error(`internal error: the schema does not know the types of ${name}`);
      return { service: nameOf(service), method: name, request, response };
    },
  );
}

/** The full name, like `grpc.Mount`. */
export function nameOf(thing: protobuf.ReflectionObject): string {
  return thing.fullName.slice(1);
}

/** The message a field holds, one or many, or null when it holds something else. */
export function messageIn(field: Field): MessageType | null {
  return field.resolvedType instanceof protobuf.Type ? field.resolvedType : null;
}

/** Names and numbers of the enum a field holds, or null. */
export function enumIn(field: Field): Readonly<Record<string, number>> | null {
  return field.resolvedType instanceof protobuf.Enum ? field.resolvedType.values : null;
}

/** The type as a person reads it: `string`, `repeated grpc.Mount`, `map<string, string>`. */
export function typeText(field: Field): string {
  const message = messageIn(field);
  const word = message === null ? field.type : nameOf(message);
  if (field.map) return `map<string, ${word}>`;
  return field.repeated ? `repeated ${word}` : word;
}
