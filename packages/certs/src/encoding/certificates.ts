// SPDX-License-Identifier: Apache-2.0
// The certificates of a PEM text. Whether they fit together, or are any good, is asked in verify/.
import { X509Certificate } from 'node:crypto';
import { CertError } from '../errors.js';
import { pemBlocks, type PemBlock } from './pem.js';
import { dateTrouble } from './validity.js';
import { nameOrigin, type PemSource } from './source.js';
import { natureOfBlock, natureOfBlocks, natureOfFile } from './what-it-is.js';

const certificateLabels: ReadonlySet<string> = new Set(['CERTIFICATE', 'X509 CERTIFICATE']);

/** What a text holds: certificates, and what should have been some and is not. */
export interface CertificateBlocks {
  readonly certificates: readonly FoundCertificate[];
  /** Each a sentence that begins with the file and names the line. */
  readonly odd: readonly string[];
  /** Of these, the ones that were meant as certificates: something may be missing without them. */
  readonly unreadable: readonly string[];
}

export interface FoundCertificate {
  readonly certificate: X509Certificate;
  /** Line of its block. */
  readonly line: number;
}

/**
 * The certificates of a text, in order. Blocks that cannot be parsed, and those of kinds that a person may have taken
 * for certificates, are in `odd`. Throws ERR_CERT_NO_CERTIFICATE when nothing else is there, in words that say what is.
 */
export function certificateBlocks(source: PemSource): CertificateBlocks {
  const odd: string[] = [];
  const unreadable: string[] = [];
  const certificates: FoundCertificate[] = [];
  const blocks = pemBlocks(source);
  for (const block of blocks) {
    const { line, label } = block;
    if (certificateLabels.has(label)) {
      const certificate = parse(block);
      if (certificate) certificates.push({ certificate, line });
      else {
        const dates = dateTrouble(block.der);
        const why = dates === null ? 'is no certificate' : `is no certificate that can be read: ${dates}`;
        const text = `${nameOrigin(source)}: the block begun in line ${line} ${why}`;
        odd.push(text);
        unreadable.push(text);
      }
      continue;
    }
    const nature = natureOfBlock(block, source);
    if (!nature || nature.kind === 'key') continue;
    const text = `${nameOrigin(source)}: the block begun in line ${line} is ${nature.what}; ${nature.hint}`;
    odd.push(text);
    if (nature.kind === 'certificate') unreadable.push(text);
  }
  if (certificates.length === 0 && !blocks.some(({ label }) => certificateLabels.has(label)))
    throw noCertificate(source);
  return { certificates, odd, unreadable };
}

function parse({ der }: PemBlock): X509Certificate | null {
  try {
    const certificate = new X509Certificate(der);
    // X509Certificate takes a DER value and looks no further; bytes behind it are nobody's certificate.
    return certificate.raw.equals(der) ? certificate : null;
  } catch {
    return null;
  }
}

function noCertificate(source: PemSource): CertError {
  const nature = natureOfBlocks(source) ?? natureOfFile(source);
  return new CertError(
    'ERR_CERT_NO_CERTIFICATE',
    `${nameOrigin(source)} holds no certificate${nature ? `; it is ${nature.what}` : ''}`,
    {
      hint:
        (nature?.kind === 'key'
          ? `the key has a flag of its own; give ${source.flag} the certificate`
          : nature?.hint) ??
        `give ${source.flag} a file with a block that begins with -----BEGIN CERTIFICATE-----`,
    },
  );
}

/** The certificates of a text, in order, each block a good one. Throws ERR_CERT_NO_CERTIFICATE and ERR_CERT_UNREADABLE. */
export function certificatesIn(source: PemSource): X509Certificate[] {
  const { certificates, odd } = certificateBlocks(source);
  const [first] = odd;
  if (first !== undefined && certificates.length === 0) {
    throw new CertError('ERR_CERT_UNREADABLE', first, {
      hint: 'copy the file again, or leave that block out',
    });
  }
  return certificates.map(({ certificate }) => certificate);
}
