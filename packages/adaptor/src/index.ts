// SPDX-License-Identifier: Apache-2.0
// The public names of @peerpod-tls/adaptor.
export { Adaptor, type AdaptorParts } from './adaptor.js';
export { AdaptorError, type AdaptorErrorCode } from './errors.js';
export { parseOptions, type AdaptorOptions, type ParsedOptions } from './options.js';
export type { SandboxView } from './status.js';
