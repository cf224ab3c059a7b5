// SPDX-License-Identifier: Apache-2.0
// Services as values: what methods there are, of which kind, with which messages, and the types that follow for
// those who serve and those who call. No wire and no sockets.
import type { CallContext } from './call-context.js';

/**
 * How one message is written and read: a class of protobufjs static code, or anything of the same shape. What may
 * be written is often looser than what reading gives, hence two types.
 */
export interface MessageType<Out, In = Out> {
  encode(message: In): { finish(): Uint8Array };
  decode(bytes: Uint8Array): Out;
}

export type MethodKind = 'unary' | 'client-stream' | 'server-stream' | 'bidi';

export interface MethodDescriptor<Req, Res, ReqIn = Req, ResIn = Res, Kind extends MethodKind = MethodKind> {
  readonly kind: Kind;
  readonly request: MessageType<Req, ReqIn>;
  readonly response: MessageType<Res, ResIn>;
}

export type AnyMethod = MethodDescriptor<unknown, unknown>;
export type Methods = Readonly<Record<string, AnyMethod>>;

export interface ServiceDescriptor<M extends Methods = Methods> {
  /** Full name, such as `grpc.Health`. */
  readonly name: string;
  readonly methods: M;
}

/** One request, one response. */
export function unary<Req, Res, ReqIn = Req, ResIn = Res>(
  request: MessageType<Req, ReqIn>,
  response: MessageType<Res, ResIn>,
): MethodDescriptor<Req, Res, ReqIn, ResIn, 'unary'> {
  return { kind: 'unary', request, response };
}

/** Many requests, one response. */
export function clientStream<Req, Res, ReqIn = Req, ResIn = Res>(
  request: MessageType<Req, ReqIn>,
  response: MessageType<Res, ResIn>,
): MethodDescriptor<Req, Res, ReqIn, ResIn, 'client-stream'> {
  return { kind: 'client-stream', request, response };
}

/** One request, many responses. */
export function serverStream<Req, Res, ReqIn = Req, ResIn = Res>(
  request: MessageType<Req, ReqIn>,
  response: MessageType<Res, ResIn>,
): MethodDescriptor<Req, Res, ReqIn, ResIn, 'server-stream'> {
  return { kind: 'server-stream', request, response };
}

/** Many requests, many responses, each side at its own pace. */
export function bidi<Req, Res, ReqIn = Req, ResIn = Res>(
  request: MessageType<Req, ReqIn>,
  response: MessageType<Res, ResIn>,
): MethodDescriptor<Req, Res, ReqIn, ResIn, 'bidi'> {
  return { kind: 'bidi', request, response };
}

/** A service from its full name and its methods, each made by {@link unary} or one of its three siblings. */
export function defineService<const M extends Methods>(name: string, methods: M): ServiceDescriptor<M> {
  return Object.freeze({ name, methods: Object.freeze({ ...methods }) });
}

/** What the caller of one method gives and gets, from its descriptor. */
export type HandlerOf<D> =
  D extends MethodDescriptor<infer Req, infer _Res, infer _ReqIn, infer ResIn, infer Kind>
    ? Kind extends 'unary'
      ? (request: Req, context: CallContext) => Promise<ResIn> | ResIn
      : Kind extends 'client-stream'
        ? (requests: AsyncIterable<Req>, context: CallContext) => Promise<ResIn> | ResIn
        : Kind extends 'server-stream'
          ? (request: Req, context: CallContext) => AsyncIterable<ResIn>
          : (requests: AsyncIterable<Req>, context: CallContext) => AsyncIterable<ResIn>
    : never;

/** One handler per method of the service. */
export type Handlers<S extends ServiceDescriptor> = {
  readonly [K in keyof S['methods']]: HandlerOf<S['methods'][K]>;
};

/** A service with handlers, checked against each other by {@link implement}. Handlers are still untyped inside. */
export interface Implementation {
  readonly service: ServiceDescriptor;
  readonly handlers: object;
}

/**
 * Ties handlers to their service. A method without handler is answered Unimplemented, as an unknown one.
 * Handlers are called as methods of the given object, so a class instance will do.
 */
export function implement<S extends ServiceDescriptor>(
  service: S,
  handlers: Partial<Handlers<S>>,
): Implementation {
  return { service, handlers };
}
