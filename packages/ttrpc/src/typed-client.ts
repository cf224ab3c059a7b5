// SPDX-License-Identifier: Apache-2.0
// Typed calls: a service descriptor and a client give an object with one function per method.
import { messageOf } from '@peerpod-tls/base';
import type { CallOptions } from './call-options.js';
import type { ClientStream } from './client-stream.js';
import type { TtrpcClient } from './client.js';
import { TtrpcError } from './errors.js';
import type { AnyMethod, MessageType, MethodDescriptor, ServiceDescriptor } from './service.js';

/** What a caller sends as a stream: anything that can be iterated. */
export type Sendable<T> = AsyncIterable<T> | Iterable<T>;

/** How one method is called, from its descriptor. */
export type CallOf<D> =
  D extends MethodDescriptor<infer _Req, infer Res, infer ReqIn, infer _ResIn, infer Kind>
    ? Kind extends 'unary'
      ? (request: ReqIn, options?: CallOptions) => Promise<Res>
      : Kind extends 'client-stream'
        ? (requests: Sendable<ReqIn>, options?: CallOptions) => Promise<Res>
        : Kind extends 'server-stream'
          ? (request: ReqIn, options?: CallOptions) => AsyncIterable<Res>
          : (requests: Sendable<ReqIn>, options?: CallOptions) => AsyncIterable<Res>
    : never;

/** One function per method of the service. */
export type TypedClient<S extends ServiceDescriptor> = {
  readonly [K in keyof S['methods']]: CallOf<S['methods'][K]>;
};

/**
 * The service as seen through this client. Errors are those of `TtrpcClient.call` and of the stream loops; a
 * response that does not decode is ERR_TTRPC_BAD_RESPONSE, an error of the iterable that is sent passes through.
 */
export function clientOf<S extends ServiceDescriptor>(service: S, client: TtrpcClient): TypedClient<S>;
export function clientOf(service: ServiceDescriptor, client: TtrpcClient): Readonly<Record<string, unknown>> {
  const calls: Record<string, unknown> = {};
  for (const [name, method] of Object.entries(service.methods))
    calls[name] = bindCall(service.name, name, method, client);
  return Object.freeze(calls);
}

function bindCall(service: string, name: string, method: AnyMethod, client: TtrpcClient): unknown {
  const { kind, request, response } = method;
  switch (kind) {
    case 'unary':
      return async (message: unknown, options?: CallOptions) => {
        const payload = request.encode(message).finish();
        return decode(response, await client.call(service, name, payload, options));
      };
    case 'server-stream':
      return async function* (message: unknown, options: CallOptions = {}) {
        const payload = request.encode(message).finish();
        for await (const bytes of client.stream(service, name, { ...options, kind, payload })) {
          yield decode(response, bytes);
        }
      };
    case 'client-stream':
      return async (messages: Sendable<unknown>, options: CallOptions = {}) => {
        const stream = client.stream(service, name, { ...options, kind });
        void sendAll(stream, request, messages);
        return decode(response, await stream.result());
      };
    case 'bidi':
      return async function* (messages: Sendable<unknown>, options: CallOptions = {}) {
        const stream = client.stream(service, name, { ...options, kind });
        void sendAll(stream, request, messages);
        for await (const bytes of stream) yield decode(response, bytes);
      };
  }
}

/** Sends until the iterable or the stream ends. Never rejects: an error of the iterable ends the stream with it. */
async function sendAll(
  stream: ClientStream,
  type: MessageType<unknown>,
  messages: Sendable<unknown>,
): Promise<void> {
  try {
    for await (const message of messages) await stream.send(type.encode(message).finish());
    await stream.closeSend();
  } catch (error) {
    stream.cancel(
      error instanceof Error ? error : new Error('the iterable to send threw something', { cause: error }),
    );
  }
}

function decode(type: MessageType<unknown>, bytes: Uint8Array): unknown {
  try {
    return type.decode(bytes);
  } catch (error) {
    const reason = messageOf(error);
    throw new TtrpcError('ERR_TTRPC_BAD_RESPONSE', `the response message does not decode: ${reason}`, {
      cause: error,
    });
  }
}
