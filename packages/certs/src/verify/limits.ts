// SPDX-License-Identifier: Apache-2.0
// How much a peer may ask of us and how much of ours a peer will take: each limit with its reason, in one place, so that
// what is refused at a link is refused at start with the same figure.

/** Certificates from a leaf to its anchor, both counted. Longer paths are nobody's deployment. */
export const MAX_PATH = 8;

/** Certificates a peer's message is read for, its leaf included; ours carries no more. */
export const MAX_PRESENTED = 16;

/**
 * Signatures verified for one peer. The peer chooses the chain, so it may not choose how long we are busy; an honest one
 * needs one or two for each certificate of its path.
 */
export const MAX_VERIFICATIONS = 64;

/** Anchors of one name, each of which may have to be tried for a certificate that does not say which key signed it. */
export const MAX_NAMESAKES = 16;

/** Bytes of certificates OpenSSL reads from a peer unless it is told otherwise (SSL_MAX_CERT_LIST_DEFAULT). */
export const MAX_PRESENTED_BYTES = 102_400;

/**
 * Bytes for the names of the anchors in a CertificateRequest. Its extensions hold 65,535 bytes together (RFC 8446
 * section 4.3.2); the rest is for the other extensions and the lengths.
 */
export const MAX_CLIENT_CA_BYTES = 65_535 - 135;
