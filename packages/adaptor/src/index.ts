// SPDX-License-Identifier: Apache-2.0
// The public names of @peerpod-tls/adaptor.
export { Adaptor, type AdaptorParts } from './adaptor.js';
export { AdaptorError, type AdaptorErrorCode } from './errors.js';
export { parseOptions, type AdaptorOptions, type ParsedOptions } from './options.js';
export { ProviderError, type ProviderErrorCode } from './providers/errors.js';
export type {
  Diagnosis,
  Instance,
  InstanceSpec,
  Provider,
  ProviderContext,
  ProviderLimits,
  ProviderModule,
} from './providers/provider.js';
export type { SandboxView } from './status.js';
export { chooseTlsMode, type TlsMode, type TlsOptions } from './tls-mode.js';
