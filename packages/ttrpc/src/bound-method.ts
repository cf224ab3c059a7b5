// SPDX-License-Identifier: Apache-2.0
// A handler seen as a function on bytes: decoding its request, calling it, encoding what it gives. The server knows
// handlers in this form only.
import { messageOf } from '@peerpod-tls/base';
import type { CallContext } from './call-context.js';
import { StatusError } from './errors.js';
import type { AnyMethod, Implementation, MessageType } from './service.js';
import { StatusCode } from './status.js';

/** A method that answers once. */
export interface SingleAnswer {
  readonly answers: 'one';
  readonly kind: 'unary' | 'client-stream';
  run(input: Uint8Array | AsyncIterable<Uint8Array>, context: CallContext): Promise<Uint8Array>;
}

/** A method that answers with a stream. */
export interface ManyAnswers {
  readonly answers: 'many';
  readonly kind: 'server-stream' | 'bidi';
  run(input: Uint8Array | AsyncIterable<Uint8Array>, context: CallContext): AsyncIterable<Uint8Array>;
}

export type BoundMethod = SingleAnswer | ManyAnswers;

/**
 * Answers calls of methods that no service has, in bytes: for a front that hands calls on. `context` names service and
 * method; what it throws answers as what a handler throws.
 */
export type Fallback = (payload: Uint8Array, context: CallContext) => Promise<Uint8Array>;

/** A fallback as the method of whatever was called: a unary one, since nothing says what else it may be. */
export function bindFallback(fallback: Fallback): SingleAnswer {
  return {
    answers: 'one',
    kind: 'unary',
    async run(input, context) {
      if (!(input instanceof Uint8Array)) throw new Error('internal error: a unary call with a stream');
      return fallback(input, context);
    },
  };
}

/** Service name, then method name. Maps, so that no name a peer sends finds anything but a method. */
export type Registry = ReadonlyMap<string, ReadonlyMap<string, BoundMethod>>;

/** @throws Error when a service is given twice or a handler is not a function: mistakes of our own callers. */
export function bindServices(implementations: readonly Implementation[]): Registry {
  const registry = new Map<string, Map<string, BoundMethod>>();
  for (const { service, handlers } of implementations) {
    if (registry.has(service.name)) throw new Error(`the service ${service.name} is registered twice`);
    const methods = new Map<string, BoundMethod>();
    for (const [name, descriptor] of Object.entries(service.methods)) {
      const handler: unknown = Reflect.get(handlers, name);
      if (handler === undefined) continue;
      if (typeof handler !== 'function')
        throw new TypeError(`the handler of ${service.name}/${name} is no function`);
      methods.set(
        name,
        bind(descriptor, (input, context) => Reflect.apply(handler, handlers, [input, context])),
      );
    }
    registry.set(service.name, methods);
  }
  return registry;
}

type Call = (input: unknown, context: CallContext) => unknown;

function bind(method: AnyMethod, call: Call): BoundMethod {
  const { kind, request, response } = method;
  const input = (from: Uint8Array | AsyncIterable<Uint8Array>): unknown =>
    from instanceof Uint8Array ? decodeMessage(request, from) : decodeAll(request, from);
  if (kind === 'unary' || kind === 'client-stream') {
    return {
      answers: 'one',
      kind,
      async run(from, context) {
        return encodeMessage(response, await call(input(from), context));
      },
    };
  }
  return {
    answers: 'many',
    kind,
    async *run(from, context) {
      const messages: unknown = await call(input(from), context);
      if (!isIterable(messages)) {
        throw new StatusError(
          StatusCode.internal,
          'ttrpc: the handler of a stream returned nothing to iterate',
        );
      }
      for await (const message of messages) yield encodeMessage(response, message);
    },
  };
}

async function* decodeAll(
  type: MessageType<unknown>,
  from: AsyncIterable<Uint8Array>,
): AsyncGenerator<unknown> {
  for await (const bytes of from) yield decodeMessage(type, bytes);
}

function decodeMessage(type: MessageType<unknown>, bytes: Uint8Array): unknown {
  try {
    return type.decode(bytes);
  } catch (error) {
    throw new StatusError(StatusCode.internal, `ttrpc: error unmarshalling payload: ${messageOf(error)}`);
  }
}

function encodeMessage(type: MessageType<unknown>, message: unknown): Uint8Array {
  if (message === undefined || message === null) {
    throw new StatusError(StatusCode.unknown, 'ttrpc: marshal called with nil');
  }
  if (typeof message !== 'object') {
    throw new StatusError(StatusCode.internal, `ttrpc: error unsupported response type: ${typeof message}`);
  }
  try {
    return type.encode(message).finish();
  } catch (error) {
    throw new StatusError(StatusCode.internal, `ttrpc: error marshaling payload: ${messageOf(error)}`);
  }
}

function isIterable(value: unknown): value is AsyncIterable<unknown> | Iterable<unknown> {
  return (
    typeof value === 'object' && value !== null && (Symbol.asyncIterator in value || Symbol.iterator in value)
  );
}
