// SPDX-License-Identifier: Apache-2.0
// The certificates a peer is verified by: read from a bundle, each looked at. An odd one among good ones is left out
// with a warning that names it; an empty list is never the answer unless it was asked for.
import type { X509Certificate } from 'node:crypto';
import { clock, fingerprintOf, isoTime, subjectOf } from '../describe.js';
import { encodeDer } from '../encoding/der.js';
import { certificateBlocks, type CertificateBlocks } from '../encoding/certificates.js';
import { holdsPrivateKey } from '../encoding/private-key.js';
import { nameOrigin, type PemSource } from '../encoding/source.js';
import { CertError, type CertErrorCode } from '../errors.js';
import type { TlsRole } from '../role.js';
import { factsOf } from './facts.js';
import { MAX_CLIENT_CA_BYTES, MAX_NAMESAKES } from './limits.js';
import { isVersionOneRoot, keyFault, readableFacts } from './rules.js';

/** Checked anchors, each once, and what is wrong with some of them that does not stop the others from being used. */
export interface Trust {
  readonly anchors: readonly X509Certificate[];
  readonly warnings: readonly string[];
}

/** One that cannot be used, and the error it is when no other can be. */
interface OddAnchor {
  readonly code: CertErrorCode;
  readonly text: string;
  readonly hint: string;
}

/**
 * Reads and checks a bundle of anchors, for an end in that role. `null` is accepted only when the caller allows that
 * nobody is verified.
 */
export function readAnchors(source: PemSource | null, allowNone: boolean, role: TlsRole, now: Date): Trust {
  if (!source) {
    if (allowNone) return { anchors: [], warnings: [] };
    // Node would fall back to its built-in public roots, and accept whoever those vouch for.
    throw new CertError(
      'ERR_CERT_NO_TRUST',
      'no anchors were given, so no peer could be told from any other',
      { hint: 'name a file with the CA certificates that peers are verified by' },
    );
  }
  const where = nameOrigin(source);
  const { certificates, odd } = blocksIn(source);
  const bad: OddAnchor[] = odd.map(text => ({
    code: 'ERR_CERT_ANCHOR_UNREADABLE',
    text,
    hint: 'copy the file again, or leave that block out',
  }));
  const warnings: string[] = [];
  const anchors = new Map<string, X509Certificate>();
  for (const [index, { certificate, line }] of certificates.entries()) {
    const name = `anchor ${index + 1} in ${where}, begun in line ${line}, ${subjectOf(certificate)}`;
    const fault = oddity(certificate, name);
    if (fault) bad.push(fault);
    else if (anchors.has(fingerprintOf(certificate))) continue;
    else {
      warnings.push(...remarks(certificate, name, now));
      anchors.set(fingerprintOf(certificate), certificate);
    }
  }
  const all = [...anchors.values()];
  const [worst] = bad;
  if (all.length === 0 && worst) throw new CertError(worst.code, worst.text, { hint: worst.hint });
  warnings.push(...bad.map(({ text, hint }) => `${text}; it is left out (${hint})`));
  if (all.every(anchor => now > factsOf(anchor).notAfter)) {
    throw new CertError(
      'ERR_CERT_ANCHORS_EXPIRED',
      `every anchor in ${where} has expired: ${warnings.join('; ')}; ${clock(now)}`,
      { hint: `give ${source.flag} the CA certificates in force; if the dates are wrong, set the clock` },
    );
  }
  checkLimits(all, role, source);
  if (holdsPrivateKey(source))
    warnings.push(`${where} also holds a private key, which does not belong there`);
  return { anchors: all, warnings };
}

function blocksIn(source: PemSource): CertificateBlocks {
  try {
    return certificateBlocks(source);
  } catch (error) {
    if (!(error instanceof CertError) || error.code !== 'ERR_CERT_NO_CERTIFICATE') throw error;
    throw new CertError('ERR_CERT_NO_TRUST', `${error.message}, so no peer could be told from any other`, {
      hint: error.hint,
      cause: error,
    });
  }
}

function oddity(anchor: X509Certificate, name: string): OddAnchor | null {
  const facts = readableFacts(anchor);
  if ('rule' in facts) {
    const hint = 'leave that block out, or have the certificate issued again';
    return { code: 'ERR_CERT_ANCHOR_UNREADABLE', text: `${name}, ${facts.text}`, hint };
  }
  const weak = keyFault(anchor);
  if (weak === null) return null;
  const hint = 'leave it out, and have its leaves issued by a stronger CA';
  return { code: 'ERR_CERT_WEAK', text: `${name}, is weak: ${weak}`, hint };
}

/** What an operator should know of an anchor that is used all the same. */
function remarks(anchor: X509Certificate, name: string, now: Date): string[] {
  const facts = factsOf(anchor);
  const said: string[] = [];
  if (now > facts.notAfter) said.push(`${name}, expired at ${isoTime(facts.notAfter)}`);
  if (now < facts.notBefore) said.push(`${name}, is valid from ${isoTime(facts.notBefore)} on`);
  if (isVersionOneRoot(facts)) {
    said.push(
      `${name}, is of version 1 and cannot say that it is a CA; whatever it signed is accepted, since it is signed by itself and stands here`,
    );
  }
  return said;
}

function checkLimits(anchors: readonly X509Certificate[], role: TlsRole, source: PemSource): void {
  const where = nameOrigin(source);
  const namesakes = new Map<string, number>();
  for (const { subject } of anchors) namesakes.set(subject, (namesakes.get(subject) ?? 0) + 1);
  const most = Math.max(0, ...namesakes.values());
  if (most > MAX_NAMESAKES) {
    throw new CertError(
      'ERR_CERT_LIMIT',
      `${most} anchors in ${where} have one name, and at most ${MAX_NAMESAKES} of a name are tried for a peer`,
      { hint: 'leave out those that issue nothing any more' },
    );
  }
  if (role !== 'server') return;
  // Each name travels with its length in front; a server sends them all to every client.
  const bytes = anchors.reduce((sum, anchor) => sum + 2 + encodeDer(factsOf(anchor).subject).length, 0);
  if (bytes <= MAX_CLIENT_CA_BYTES) return;
  throw new CertError(
    'ERR_CERT_LIMIT',
    `the names of the ${anchors.length} anchors in ${where} come to ${bytes} bytes, and a server can send its clients at most ${MAX_CLIENT_CA_BYTES} (the 65,535 of TLS less what stands beside them): no handshake would succeed`,
    { hint: 'give fewer anchors, or ones with shorter names' },
  );
}
