// SPDX-License-Identifier: Apache-2.0
// What a file is that holds no PEM block of the wanted kind, and the command that makes one of it. For the words of an
// error alone: nothing is accepted here.
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { childrenOf, contentOf, decodeDer, isContext, isUniversal, oidOf, Tag, type DerNode } from './der.js';
import { pemBlocks, quoted, type PemBlock } from './pem.js';
import type { PemSource } from './source.js';

export interface Nature {
  /** Goes behind "it is" or "the block begun in line 1 is". */
  readonly what: string;
  /** The way out, mostly a command. */
  readonly hint: string;
  /** Set where it is one of the two things that are ever wanted, in another form. */
  readonly kind?: 'certificate' | 'key';
}

const JAVA_KEY_STORE = Buffer.from('feedfeed', 'hex');

/** What a whole file is, or null for one that could be anything. */
export function natureOfFile(source: PemSource): Nature | null {
  const bytes = source.bytes ?? Buffer.from(source.pem);
  const file = quoted(source.file);
  const nature = (what: string, command: string): Nature => ({ what, hint: `convert it with: ${command}` });
  if (bytes.every(byte => byte === 0))
    return { what: 'nothing but zero bytes', hint: 'it was lost on a disk or on its way; copy it again' };
  if (isUtf32(bytes))
    return nature(
      'text in UTF-32',
      `iconv -f utf-32${bytes[0] === 0 ? 'be' : 'le'} -t utf-8 ${file} > new.pem`,
    );
  if (isUtf16(bytes)) {
    const from = bytes[0] === 0xff || bytes[0] === 0xfe ? 'utf-16' : bytes[0] === 0 ? 'utf-16be' : 'utf-16le';
    return nature('text in UTF-16', `iconv -f ${from} -t utf-8 ${file} > new.pem`);
  }
  if (bytes[0] === 0x1f && bytes[1] === 0x8b)
    return nature('packed with gzip', `gunzip -c ${file} > new.pem`);
  if (bytes.subarray(0, 4).equals(JAVA_KEY_STORE))
    return nature(
      'a Java key store',
      `keytool -importkeystore -srckeystore ${file} -destkeystore new.pfx -deststoretype PKCS12`,
    );
  if (bytes[0] === 0x30) return natureOfDer(bytes, file, '');
  if (source.pem.includes('\\n') && /-----BEGIN/.test(source.pem))
    return {
      what: 'PEM text with \\n as two characters where lines should end',
      hint: `put real line ends in: printf '%b' "$(cat ${file})" > new.pem`,
    };
  return natureOfBase64(source.pem, file) ?? natureOfManifest(source.pem, file);
}

/** What a block of another kind is, or null for kinds that stand beside certificates and keys by custom. */
export function natureOfBlock({ label }: PemBlock, source: PemSource): Nature | null {
  const file = quoted(source.file);
  switch (label) {
    case 'TRUSTED CERTIFICATE':
      return {
        kind: 'certificate',
        what: "a certificate in OpenSSL's own form, with trust settings of its own",
        hint: `convert it with: openssl x509 -in ${file} -out new.pem`,
      };
    case 'PKCS7':
    case 'CMS':
      return {
        kind: 'certificate',
        what: 'a bundle in PKCS#7',
        hint: `convert it with: openssl pkcs7 -in ${file} -print_certs -out new.pem`,
      };
    case 'CERTIFICATE REQUEST':
    case 'NEW CERTIFICATE REQUEST':
      return {
        what: 'a request for a certificate',
        hint: `have it signed and use what comes back: peerpod certs issue server --csr ${file}`,
      };
    case 'PUBLIC KEY':
    case 'RSA PUBLIC KEY':
      return {
        what: 'a public key',
        hint: 'a certificate or the private key is wanted; this is half of one',
      };
    case 'X509 CRL':
      return {
        what: 'a revocation list, which is not looked at',
        hint: 'take the certificates it revokes out of use otherwise',
      };
    case 'EC PARAMETERS':
    case 'DH PARAMETERS':
    case 'DSA PARAMETERS':
      return null;
    case 'OPENSSH PRIVATE KEY':
      return {
        kind: 'key',
        what: "a key in OpenSSH's own form",
        hint: `convert a copy of it with: ssh-keygen -p -m PEM -f ${file}`,
      };
    default:
      return label.endsWith('PRIVATE KEY') ? { what: 'a private key', hint: '', kind: 'key' } : null;
  }
}

/** The first block of a text that is something else than the wanted, with its line. */
export function natureOfBlocks(source: PemSource): Nature | null {
  for (const block of pemBlocks(source)) {
    const nature = natureOfBlock(block, source);
    if (nature) return { ...nature, what: `${nature.what} (line ${block.line})` };
  }
  return null;
}

/** Four bytes a character, of which three are zero in the text of a PEM file. */
function isUtf32(bytes: Buffer): boolean {
  const head = bytes.subarray(bytes[0] === 0xff || bytes[2] === 0xfe ? 4 : 0, 68);
  const zeros = (at: number): boolean =>
    head.length > 16 && head.every((byte, i) => (i % 4 === at) === (byte !== 0));
  return zeros(0) || zeros(3);
}

function isUtf16(bytes: Buffer): boolean {
  if (bytes.length < 4) return false;
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) return true;
  const head = bytes.subarray(0, 64);
  const zeros = (from: number): boolean =>
    head.length > 8 && head.every((byte, i) => i % 2 !== from || byte === 0);
  return zeros(0) || zeros(1);
}

/** Base64 of PEM text, or of DER; however its lines are broken. */
function natureOfBase64(text: string, file: string): Nature | null {
  const packed = text.replaceAll(/[\s"'\ufeff]/g, '');
  if (packed.length < 64 || !/^[A-Za-z0-9+/_-]+={0,2}$/.test(packed)) return null;
  // The form for addresses, and one without its end, are nothing for the program base64 as they are.
  const missing = '='.repeat((4 - (packed.length % 4)) % 4);
  const plain = missing === '' && !/[-_]/.test(packed) && !/["'\ufeff]/.test(text);
  const decode = plain
    ? `base64 -d ${file}`
    : `{ tr -cd 'A-Za-z0-9+/_=-' < ${file} | tr -- -_ +/; printf '${missing}'; } | base64 -d`;
  const bytes = Buffer.from(packed, 'base64');
  if (bytes.includes('-----BEGIN'))
    return { what: 'PEM text, encoded once more in base64', hint: `decode it with: ${decode} > new.pem` };
  const inner = bytes.toString('latin1').replaceAll(/\s/g, '');
  if (/^[A-Za-z0-9+/]+={0,2}$/.test(inner) && Buffer.from(inner, 'base64').includes('-----BEGIN'))
    return {
      what: 'PEM text, encoded twice more in base64',
      hint: `decode it with: ${decode} | base64 -d > new.pem`,
    };
  return bytes[0] === 0x30 ? natureOfDer(bytes, '', `${decode} | `) : null;
}

/** `LS0tLS1CRUdJTi` is what base64 makes of -----BEGIN. */
function natureOfManifest(text: string, file: string): Nature | null {
  if (!/\bLS0tLS1CRUdJTi[A-Za-z0-9+/=]{32}/.test(text)) return null;
  return {
    what: 'a text, such as the manifest of a secret, with PEM text in base64 in it',
    hint: `take it out with: grep -o 'LS0tLS1CRUdJTi[A-Za-z0-9+/=]*' ${file} | base64 -d > new.pem`,
  };
}

/** What a DER value is. `pipe` is what brings it to the command in place of a file. */
function natureOfDer(bytes: Buffer, file: string, pipe: string): Nature | null {
  const input = pipe === '' ? ` -in ${file}` : '';
  const form = pipe === '' ? 'DER' : 'DER in base64, without the lines around it';
  const nature = (what: string, command: string, kind?: Nature['kind']): Nature => ({
    what,
    hint: `convert it with: ${pipe}${command}`,
    ...(kind === undefined ? {} : { kind }),
  });
  if (succeeds(() => new X509Certificate(bytes)))
    return nature(`a certificate in ${form}`, `openssl x509 -inform der${input} -out new.pem`, 'certificate');
  for (const type of ['pkcs8', 'pkcs1', 'sec1'] as const) {
    if (succeeds(() => createPrivateKey({ key: bytes, format: 'der', type })))
      return nature(`a private key in ${form}`, `openssl pkey -inform der${input} -out new.pem`, 'key');
  }
  if (succeeds(() => createPublicKey({ key: bytes, format: 'der', type: 'spki' })))
    return {
      what: `a public key in ${form}`,
      hint: 'a certificate or the private key is wanted; this is half of one',
    };
  // What PKCS#12 programs write is BER more often than DER, so it is told by its first bytes alone.
  const head = bytes.subarray(0, 32).toString('hex');
  if (/^30.{2,10}02010330/.test(head))
    return nature('a PKCS#12 file (PFX)', `openssl pkcs12${input} -nodes -out new.pem`);
  if (head.includes('06092a864886f70d0107'))
    return nature('a bundle in PKCS#7', `openssl pkcs7 -inform der${input} -print_certs -out new.pem`);
  return natureOfTree(bytes, input, nature);
}

function natureOfTree(
  bytes: Buffer,
  input: string,
  nature: (what: string, command: string, kind?: Nature['kind']) => Nature,
): Nature | null {
  try {
    const top = childrenOf(decodeDer(bytes), Tag.sequence);
    const inner = isUniversal(top[0], Tag.sequence) ? childrenOf(top[0], Tag.sequence) : [];
    if (isContext(inner[3], 0) && isZero(inner[0]))
      return {
        what: 'a request for a certificate in DER',
        hint: 'have it signed and use what comes back',
      };
    if (isUniversal(inner[0], Tag.oid) && oidOf(inner[0]).startsWith('1.2.840.113549.1.5.'))
      return nature(
        'an encrypted private key in DER',
        `openssl pkey -inform der${input} -out new.pem`,
        'key',
      );
  } catch {
    return null;
  }
  return null;
}

const isZero = (node: DerNode | undefined): boolean =>
  isUniversal(node, Tag.integer) && contentOf(node, Tag.integer).equals(Buffer.of(0));

function succeeds(attempt: () => unknown): boolean {
  try {
    attempt();
    return true;
  } catch {
    return false;
  }
}
