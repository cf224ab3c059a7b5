// SPDX-License-Identifier: Apache-2.0
// The public names that need no protobuf runtime, for programs that relay frames and want to start fast. The package's
// main entry has them as well.
export { StatusError, TtrpcError } from './errors.js';
export type { StatusDetail, TtrpcErrorCode } from './errors.js';
export { FrameDecoder } from './frame-decoder.js';
export type { Frame, OversizedFrame, TlsBytes } from './frame-decoder.js';
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
export {
  MAX_NAME_LENGTH,
  peekRequestTarget,
  peekResponseCode,
  readRequestPayload,
  replaceRequestPayload,
} from './peek.js';
export type { PeekResult, RequestTarget } from './peek.js';
export { encodeResponse, statusEnvelope } from './response-envelope.js';
export type { ResponseEnvelope, ResponseStatus } from './response-envelope.js';
export { StatusCode } from './status.js';
export { encodeBytesField, encodeVarint, FieldCursor, viewOf, WireType } from './wire.js';
export type { CursorOptions } from './wire.js';
