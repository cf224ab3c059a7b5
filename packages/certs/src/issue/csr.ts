// SPDX-License-Identifier: Apache-2.0
// Reading a PKCS#10 certificate request (RFC 2986) from somebody we do not trust: its form, its key, and its proof
// that the sender holds that key. What the request asks for (subject, extensions) is not even looked at.
import { createPublicKey, verify, type KeyObject } from 'node:crypto';
import {
  bitsOf,
  childrenOf,
  contentOf,
  decodeDer,
  encodeDer,
  isUniversal,
  oidOf,
  Tag,
  type DerNode,
} from '../encoding/der.js';
import { CertError } from '../errors.js';
import { keyFitness, keyName } from '../keys.js';
import { signatureSchemes } from './keys.js';
import { pemBlocks } from '../encoding/pem.js';

/** A request with an RSA-4096 key and many names is under 4 KiB. */
const MAX_CSR_BYTES = 16 * 1024;
/** Larger keys make verification slow for us, and only us. */
const MAX_CSR_RSA_BITS = 4096;
const CSR_LABELS: ReadonlySet<string> = new Set(['CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST']);

export interface Csr {
  readonly spki: DerNode;
  readonly publicKey: KeyObject;
}

const refused = (why: string, cause?: unknown): CertError =>
  new CertError('ERR_CERT_CSR_REFUSED', `the certificate request is refused: ${why}`, {
    hint: 'make a request with an ECDSA P-256, P-384 or P-521, Ed25519, or RSA key of 2048 to 4096 bits',
    cause,
  });

/** The public key of a request whose self-signature holds. Throws ERR_CERT_CSR_REFUSED for everything else. */
export function readCsr(pem: string): Csr {
  if (pem.length > MAX_CSR_BYTES * 2) throw refused('it is too big');
  let blocks;
  try {
    blocks = pemBlocks({ pem, file: 'the certificate request', flag: 'PEM text' });
  } catch (cause) {
    throw refused('it is not PEM text', cause);
  }
  const [block] = blocks;
  if (!block || blocks.length > 1 || !CSR_LABELS.has(block.label)) {
    throw refused('it is not one block that begins with -----BEGIN CERTIFICATE REQUEST-----');
  }
  if (block.der.length > MAX_CSR_BYTES) throw refused('it is too big');
  try {
    return readRequest(block.der);
  } catch (error) {
    if (error instanceof CertError) throw error;
    // Whatever the decoder or OpenSSL stumbled over was put there by the sender.
    throw refused('it is not properly encoded', error);
  }
}

function readRequest(der: Buffer): Csr {
  const [info, algorithm, signature] = childrenOf(decodeDer(der), Tag.sequence, { min: 3, max: 3 });
  const [version, subject, spki, attributes] = childrenOf(info, Tag.sequence, { min: 4, max: 4 });
  if (!info || !spki) throw refused('it is incomplete');
  if (!contentOf(version, Tag.integer).equals(Buffer.of(0))) throw refused('it has an unknown version');
  childrenOf(subject, Tag.sequence);
  childrenOf(attributes, 0, { kind: 'context' });

  const [keyAlgorithm] = childrenOf(spki, Tag.sequence, { min: 2, max: 2 });
  const [, keyParameters] = childrenOf(keyAlgorithm, Tag.sequence, { min: 1, max: 2 });
  const publicKey = createPublicKey({ key: encodeDer(spki), format: 'der', type: 'spki' });
  // OpenSSL names a curve even when its parameters are spelled out; those would be copied into the certificate.
  if (publicKey.asymmetricKeyType === 'ec' && !isUniversal(keyParameters, Tag.oid)) {
    throw refused('its curve is not given by name');
  }
  checkKey(publicKey);

  const [signatureOid, parameters] = childrenOf(algorithm, Tag.sequence, { min: 1, max: 2 });
  const scheme = signatureSchemes.get(oidOf(signatureOid));
  if (!scheme || scheme.keyType !== publicKey.asymmetricKeyType) {
    throw refused(`its signature algorithm ${oidOf(signatureOid)} is not allowed for its key`);
  }
  if (scheme.nullParameters ? contentOf(parameters, Tag.null).length > 0 : parameters !== undefined) {
    throw refused('its signature algorithm has unexpected parameters');
  }
  const { bytes, unused } = bitsOf(signature);
  if (unused !== 0 || !verify(scheme.hash, encodeDer(info), publicKey, bytes)) {
    throw refused('it is not signed with the key it carries');
  }
  return { spki, publicKey };
}

function checkKey(key: KeyObject): void {
  const details = key.asymmetricKeyDetails;
  const tooBig = (details?.modulusLength ?? 0) > MAX_CSR_RSA_BITS;
  // An exponent of 3 has a history, and a huge one is a way to keep the verifier busy.
  const oddExponent = key.asymmetricKeyType === 'rsa' && details?.publicExponent !== 65_537n;
  if (keyFitness(key) !== 'ok' || tooBig || oddExponent)
    throw refused(`its key (${keyName(key)}) is not allowed`);
}
