// SPDX-License-Identifier: Apache-2.0
// The one word for what a certificate is for: which end of a link it stands at. Nothing is checked here.

/** `server` is the pod VM's forwarder, `client` the worker's adaptor. */
export type TlsRole = 'server' | 'client';

/** The extended key usage each end must be allowed, by the name people use. */
export const neededPurpose = { server: 'serverAuth', client: 'clientAuth' } as const;
