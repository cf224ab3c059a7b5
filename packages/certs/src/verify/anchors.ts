// SPDX-License-Identifier: Apache-2.0
// The certificates a peer is verified by: read from a bundle, each looked at. An empty list is never the answer unless it
// was asked for. Verifying a peer with them is in explain.ts.
import type { X509Certificate } from 'node:crypto';
import { clock, validityOf } from '../issue/certificate.js';
import { fingerprintOf, isoTime, subjectOf } from '../describe.js';
import { CertError } from '../errors.js';
import { factsOf } from '../encoding/extensions.js';
import { certificatesIn, holdsPrivateKey, nameOrigin, type PemSource } from '../encoding/pem.js';
import { dateFault, keyFault } from './rules.js';

/** Checked anchors, each once, and what is wrong with some of them that does not stop the others from being used. */
export interface Trust {
  readonly anchors: readonly X509Certificate[];
  readonly warnings: readonly string[];
}

/** Reads and checks a bundle of anchors. `null` is accepted only when the caller allows that nobody is verified. */
export function readAnchors(source: PemSource | null, allowNone: boolean, now: Date): Trust {
  if (!source) {
    if (allowNone) return { anchors: [], warnings: [] };
    // Node would fall back to its built-in public roots, and accept whoever those vouch for.
    throw new CertError(
      'ERR_CERT_NO_TRUST',
      'no anchors were given, so no peer could be told from any other',
      {
        hint: 'name a file with the CA certificates that peers are verified by',
      },
    );
  }
  const where = nameOrigin(source);
  const warnings: string[] = [];
  const anchors = new Map<string, X509Certificate>();
  for (const [index, anchor] of anchorsIn(source).entries()) {
    const name = `anchor ${index + 1} in ${where}, ${subjectOf(anchor)}`;
    try {
      factsOf(anchor);
    } catch (cause) {
      throw new CertError('ERR_CERT_ANCHOR_UNREADABLE', `${name}, is not properly encoded (DER)`, {
        hint: 'leave that block out, or have the certificate issued again',
        cause,
      });
    }
    const fault = keyFault(anchor);
    if (fault) {
      throw new CertError('ERR_CERT_WEAK', `${name}, is weak: ${fault}`, {
        hint: 'leave it out, and have its leaves issued by a stronger CA',
      });
    }
    const { notBefore, notAfter } = validityOf(anchor);
    const dates = dateFault(anchor, now);
    if (dates === 'expired') warnings.push(`${name}, expired at ${isoTime(notAfter)}`);
    if (dates === 'not-yet-valid') warnings.push(`${name}, is valid from ${isoTime(notBefore)} on`);
    anchors.set(fingerprintOf(anchor), anchor);
  }
  const all = [...anchors.values()];
  if (all.every(anchor => dateFault(anchor, now) === 'expired')) {
    throw new CertError(
      'ERR_CERT_ANCHORS_EXPIRED',
      `every anchor in ${where} has expired: ${warnings.join('; ')}; ${clock(now)}`,
      {
        hint: `give ${source.flag} the CA certificates in force; if the dates are wrong, set the clock`,
      },
    );
  }
  if (holdsPrivateKey(source))
    warnings.push(`${where} also holds a private key, which does not belong there`);
  return { anchors: all, warnings };
}

function anchorsIn(source: PemSource): X509Certificate[] {
  try {
    return certificatesIn(source, 'ERR_CERT_ANCHOR_UNREADABLE');
  } catch (error) {
    if (!(error instanceof CertError) || error.code !== 'ERR_CERT_NO_CERTIFICATE') throw error;
    throw new CertError('ERR_CERT_NO_TRUST', `${error.message}, so no peer could be told from any other`, {
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      cause: error,
    });
  }
}
