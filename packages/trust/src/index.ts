// SPDX-License-Identifier: Apache-2.0
// The public names of @peerpod-tls/trust.
export { clientFiles } from './client-files.js';
export { TrustError, type TrustErrorCode } from './errors.js';
export { watchExpiries } from './expiry-watch.js';
export { openIdentity } from './identity-files.js';
export {
  automaticIdentity,
  disabledIdentity,
  leafFacts,
  manualIdentity,
  type Expiry,
  type Identity,
  type LeafFacts,
  type UserDataTls,
} from './identity.js';
export { LiveMaterial, type MaterialSource, type Note, type ReloadTrouble } from './live-material.js';
export {
  decideServing,
  exposedMode,
  type Serving,
  type TlsServing,
  type ServingConfiguration,
} from './serving.js';
export { chooseTlsMode, tlsWarnings, type TlsMode, type TlsOptions } from './tls-mode.js';
