// SPDX-License-Identifier: Apache-2.0
// The public names of @peerpod-tls/ttrpc, and nothing else.
export { StatusError, TtrpcError } from './errors.js';
export type { StatusDetail, TtrpcErrorCode } from './errors.js';
export { StatusCode } from './status.js';

export {
  encodeFrame,
  FrameFlag,
  FrameType,
  HEADER_LENGTH,
  looksLikeTls,
  MAX_MESSAGE_LENGTH,
  readHeader,
  TLS_HEAD_LENGTH,
  writeHeader,
} from './frame.js';
export type { FrameHeader } from './frame.js';
export { FrameDecoder } from './frame-decoder.js';
export type { Frame, OversizedFrame, TlsBytes } from './frame-decoder.js';

export { decodeRequest, decodeResponse, encodeRequest, encodeResponse, statusEnvelope } from './envelope.js';
export type { Metadata, RequestEnvelope, ResponseEnvelope, ResponseStatus } from './envelope.js';
export {
  MAX_NAME_LENGTH,
  peekRequestTarget,
  peekResponseCode,
  readRequestPayload,
  replaceRequestPayload,
} from './peek.js';
export type { PeekResult, RequestTarget } from './peek.js';

export { bidi, clientStream, defineService, implement, serverStream, unary } from './service.js';
export type {
  AnyMethod,
  HandlerOf,
  Handlers,
  Implementation,
  MessageType,
  MethodDescriptor,
  MethodKind,
  Methods,
  ServiceDescriptor,
} from './service.js';
export type { CallContext } from './call-context.js';
export type { Log } from './log.js';

export { TtrpcServer } from './server.js';
export type { TtrpcServerOptions } from './server.js';
export type { ServerConnection } from './server-connection.js';

export { TtrpcClient } from './client.js';
export type { StreamOptions, TtrpcClientOptions } from './client.js';
export type { ClientStream, StreamKind } from './client-stream.js';
export type { CallOptions } from './call-options.js';
export { connectUnix } from './connect-unix.js';
export type { ConnectOptions } from './connect-unix.js';
export { clientOf } from './typed-client.js';
export type { CallOf, Sendable, TypedClient } from './typed-client.js';
