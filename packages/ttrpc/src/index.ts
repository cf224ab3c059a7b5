// SPDX-License-Identifier: Apache-2.0
// The public names of @peerpod-tls/ttrpc, and nothing else.
export {
  encodeFrame,
  encodeResponse,
  FrameDecoder,
  FrameFlag,
  FrameType,
  HEADER_LENGTH,
  looksLikeTls,
  MAX_MESSAGE_LENGTH,
  MAX_NAME_LENGTH,
  peekRequestTarget,
  peekResponseCode,
  readHeader,
  readRequestPayload,
  replaceRequestPayload,
  StatusCode,
  StatusError,
  statusEnvelope,
  TLS_HEAD_LENGTH,
  TtrpcError,
  writeHeader,
} from './relay.js';
export type {
  Frame,
  FrameHeader,
  OversizedFrame,
  PeekResult,
  RequestTarget,
  ResponseEnvelope,
  ResponseStatus,
  StatusDetail,
  TlsBytes,
  TtrpcErrorCode,
} from './relay.js';

export { decodeRequest, decodeResponse, encodeRequest } from './envelope.js';
export type { Metadata, RequestEnvelope } from './envelope.js';

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
export type { Fallback } from './bound-method.js';
export type { ServerConnection } from './server-connection.js';

export { TtrpcClient } from './client.js';
export type { StreamOptions, TtrpcClientOptions } from './client.js';
export type { ClientStream, StreamKind } from './client-stream.js';
export type { CallOptions } from './call-options.js';
export { connectUnix } from './connect-unix.js';
export type { ConnectOptions } from './connect-unix.js';
export { clientOf } from './typed-client.js';
export type { CallOf, Sendable, TypedClient } from './typed-client.js';
