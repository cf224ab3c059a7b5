// SPDX-License-Identifier: Apache-2.0
// The file names and words of manual TLS mode. A table; writing under the names is files.ts.

/** The names that the pod VM image and the adaptor's documentation use. */
export const fileNames = {
  authority: { cert: 'ca.crt', key: 'ca.key' },
  server: { cert: 'tls.crt', key: 'tls.key' },
  client: { cert: 'client.crt', key: 'client.key' },
} as const;

/** The name a server certificate must carry in manual mode: it is what the adaptor dials every pod VM as. */
export const MANUAL_SERVER_NAME = 'podvm-server';

export const keyTypes = ['ecdsa-p256', 'ecdsa-p384', 'ed25519', 'rsa-2048', 'rsa-3072', 'rsa-4096'] as const;
