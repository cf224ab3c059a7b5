// SPDX-License-Identifier: Apache-2.0
// The public names of @peerpod-tls/providers: the interface every provider implements, its error, and the registry.

export { leftBehind, ProviderError, type ProviderErrorCode } from './errors.js';
export type {
  Diagnosis,
  Instance,
  InstanceSpec,
  Provider,
  ProviderContext,
  ProviderLimits,
  ProviderModule,
} from './provider.js';
export { providers } from './registry.js';
