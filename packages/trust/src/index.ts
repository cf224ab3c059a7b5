// SPDX-License-Identifier: Apache-2.0
// The public names of @peerpod-tls/trust.
export { expiriesOf, type Expiry } from './expiries.js';
export { watchExpiries } from './expiry-watch.js';
export { leafFacts, type Identity, type LeafFacts, type UserDataTls } from './identity.js';
export type { MaterialSource, Note } from './in-force.js';
export { LiveMaterial } from './live-material.js';
export { namedClients, unnamedClient, type NamedClients } from './named-clients.js';
export { openIdentity, type OpenIdentity } from './open-identity.js';
export { decideServing, exposedMode, type TlsServing } from './serving.js';
export { chooseTlsMode, tlsWarnings, type TlsMode } from './tls-mode.js';
