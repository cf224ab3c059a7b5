// SPDX-License-Identifier: Apache-2.0
// How a link is secured: what a caller asks for, and the OpenSSL context made from it. No sockets, and no verification of
// a peer: see verify-peer.ts.
import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import { anchorsForServer, type TlsMaterial, type TlsProfile } from '@peerpod-tls/certs';
import { sendNoTickets } from './node-internals.js';

/** What secures a dialled link. `material` is asked for each connection, so a reload is a swap behind it. */
export type LinkSecurity =
  | { readonly t: 'tls'; readonly material: () => TlsMaterial; readonly profile: TlsProfile }
  | { readonly t: 'plain' };

/** What secures a listener. `tls-any-client` asks for no client certificate and exists for one loud flag only. */
export type ListenSecurity =
  | LinkSecurity
  | { readonly t: 'tls-any-client'; readonly material: () => TlsMaterial; readonly profile: TlsProfile };

/** AES-128 first: it is the cheapest with AES instructions, and the choice of every modern stack for TLS 1.3. */
const TLS13_SUITES = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256';

/** Forward secrecy and authenticated encryption only, for when TLS 1.2 was asked for without a list of suites. */
const TLS12_SUITES = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

/** OpenSSL's SSL_OP_NO_RENEGOTIATION. Node has it in no typed constant; the value is part of OpenSSL's stable ABI. */
const NO_RENEGOTIATION = 0x40000000;

/** One context per material and profile: building one costs 0.8 ms, a connection only borrows it. */
const contexts = new WeakMap<TlsMaterial, Map<string, SecureContext>>();

/** The OpenSSL context for this material under this profile; made once and kept as long as the material. */
export function contextOf(material: TlsMaterial, profile: TlsProfile): SecureContext {
  let ofMaterial = contexts.get(material);
  if (ofMaterial === undefined) {
    ofMaterial = new Map();
    contexts.set(material, ofMaterial);
  }
  const key = `${profile.minVersion} ${profile.ciphers ?? ''}`;
  let context = ofMaterial.get(key);
  if (context === undefined) {
    context = makeContext(material, profile);
    ofMaterial.set(key, context);
  }
  return context;
}

const anchorsOf = ({ role, anchors, anchorsPem }: TlsMaterial): string[] =>
  role === 'server' ? anchorsForServer(anchors) : [...anchorsPem];

function makeContext(material: TlsMaterial, profile: TlsProfile): SecureContext {
  const options: SecureContextOptions = {
    cert: material.chainPem,
    key: material.keyPem,
    // An empty list would mean Node's public roots. Without anchors (the loud flag only) the list is our own
    // certificate: nobody is asked to present one, and nothing is inherited.
    ca: material.anchors.length > 0 ? anchorsOf(material) : [material.chainPem],
    // Go accepts a certificate of the bundle as an anchor for itself, whether it is a CA or not; so do we, since the
    // anchor in the VM may be the adaptor's self-signed or CA-issued client certificate.
    allowPartialTrustChain: true,
    minVersion: profile.minVersion,
    maxVersion: 'TLSv1.3',
    ciphers: `${TLS13_SUITES}:${profile.ciphers ?? TLS12_SUITES}`,
    honorCipherOrder: true,
    ecdhCurve: 'X25519:P-256:P-384',
    // Renegotiation would verify nobody anew: refused.
    secureOptions: NO_RENEGOTIATION,
  };
  const context = createSecureContext(options);
  // A resumed session outlives the certificate it was made with: no tickets. OpenSSL's option is second best: under
  // TLS 1.3 it makes tickets of sessions that are kept, of which none is ever found again, because nobody keeps them.
  return sendNoTickets(context)
    ? context
    : createSecureContext({ ...options, secureOptions: NO_RENEGOTIATION | constants.SSL_OP_NO_TICKET });
}
