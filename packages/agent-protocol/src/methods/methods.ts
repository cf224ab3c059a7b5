// SPDX-License-Identifier: Apache-2.0
// Finds a method by the name a person types, and says what its request holds. For the command line; relays use the method table.
import { AgentProtocolError } from '../errors.js';
import { allMethods, typeText, type MessageType, type MethodSchema } from '../messages/schema.js';

/** A method by full names, with what its request holds. */
export interface MethodInfo {
  readonly service: string;
  readonly method: string;
  readonly request: readonly FieldInfo[];
  readonly response: readonly FieldInfo[];
}

export interface FieldInfo {
  /** As in the .proto file; JSON takes it in camel case too. */
  readonly name: string;
  /** `string`, `repeated grpc.Mount`, `map<string, string>`, ... */
  readonly type: string;
}

/** A bare name that several services have means the first of these. */
const precedence = [
  'grpc.AgentService',
  'grpc.Health',
  'hypervisor.Hypervisor',
  'podvminfo.PodVMInfo',
  'peerpod.Operator',
];

/**
 * The method of that name: bare (`CreateContainer`), or with its service (`grpc.Health/Version`).
 * @throws AgentProtocolError ERR_AGENT_UNKNOWN_METHOD
 */
export function findMethod(name: string): MethodInfo {
  const { service, method, request, response } = findMethodSchema(name);
  return { service, method, request: fieldsOf(request), response: fieldsOf(response) };
}

/** @throws AgentProtocolError ERR_AGENT_UNKNOWN_METHOD */
export function findMethodSchema(name: string): MethodSchema {
  const slash = name.lastIndexOf('/');
  const service = slash < 0 ? null : name.slice(0, slash);
  const bare = name.slice(slash + 1);
  const candidates = allMethods().filter(
    known => known.method === bare && (service === null || known.service === service),
  );
  candidates.sort((a, b) => precedence.indexOf(a.service) - precedence.indexOf(b.service));
  const found = candidates[0];
  if (found !== undefined) return found;
  const alike = allMethods().find(known => known.method.toLowerCase() === bare.toLowerCase());
  throw new AgentProtocolError('ERR_AGENT_UNKNOWN_METHOD', `there is no method ${JSON.stringify(name)}`, {
    hint:
      alike === undefined
        ? `the agent has ${allMethods()
            .filter(known => known.service === precedence[0])
            .map(known => known.method)
            .join(', ')}`
        : `it is spelt ${alike.method}${service === null ? '' : `, in ${alike.service}`}`,
  });
}

/** Every method of the services of a peer pod. */
export function listMethods(): readonly MethodInfo[] {
  return allMethods().map(known => findMethod(`${known.service}/${known.method}`));
}

function fieldsOf(message: MessageType): readonly FieldInfo[] {
  return message.fieldsArray.map(field => ({ name: field.name, type: typeText(field) }));
}
