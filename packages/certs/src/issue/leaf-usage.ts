// SPDX-License-Identifier: Apache-2.0
// What a leaf says it may do, as extensions. Apart from the authority, which who signs a certificate for itself has no
// use for.
import type { DerNode } from '../encoding/der.js';
import { basicConstraints, extendedKeyUsage, keyUsage } from '../encoding/extensions.js';
import type { TlsRole } from '../role.js';

/** The three extensions that say what a leaf may do: sign handshakes for one purpose, and issue nothing. */
export const leafUsage: Readonly<Record<TlsRole, readonly DerNode[]>> = {
  server: [keyUsage('digitalSignature'), extendedKeyUsage('serverAuth'), basicConstraints('leaf')],
  client: [keyUsage('digitalSignature'), extendedKeyUsage('clientAuth'), basicConstraints('leaf')],
};
