// SPDX-License-Identifier: Apache-2.0
// PEM text (RFC 7468): finding its blocks among line ends of any kind and text around them, reading the files that
// carry it, and writing a block. Whether blocks fit together is verified in material.ts.
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { CertError } from '../errors.js';
import { keyFitness, keyName, MIN_RSA_BITS } from '../issue/keys.js';

/** Where PEM text came from, for messages: the file, and the flag or configuration key that named it. */
export interface Origin {
  readonly file: string;
  readonly flag: string;
}

export interface PemSource extends Origin {
  readonly pem: string;
}

/** A bundle of a thousand certificates fits; anything bigger is not what the flag meant. */
const MAX_FILE_BYTES = 1024 * 1024;

/** `tls.crt (-cert-file)`. */
export const nameOrigin = (origin: Origin): string => `${origin.file} (${origin.flag})`;

const readFailures: Readonly<
  Record<string, readonly ['ERR_CERT_FILE_MISSING' | 'ERR_CERT_FILE_UNREADABLE', string]>
> = {
  ENOENT: ['ERR_CERT_FILE_MISSING', 'does not exist'],
  ENOTDIR: ['ERR_CERT_FILE_MISSING', 'does not exist'],
  EACCES: ['ERR_CERT_FILE_UNREADABLE', 'may not be read by this user'],
  EPERM: ['ERR_CERT_FILE_UNREADABLE', 'may not be read by this user'],
  ELOOP: ['ERR_CERT_FILE_UNREADABLE', 'is a link that leads in a circle'],
};

/**
 * Reads a PEM file of at most 1 MiB, through links. Throws ERR_CERT_FILE_MISSING, ERR_CERT_FILE_UNREADABLE,
 * ERR_CERT_FILE_IS_DIRECTORY, ERR_CERT_FILE_EMPTY or ERR_CERT_FILE_TOO_BIG, each naming the file and the flag.
 */
export function readPem(path: string, flag: string): PemSource {
  const origin: Origin = { file: path, flag };
  let bytes: Buffer;
  try {
    bytes = readBounded(path, origin);
  } catch (error) {
    if (error instanceof CertError) throw error;
    const cause = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    const [code, text] = readFailures[cause] ?? ['ERR_CERT_FILE_UNREADABLE', `cannot be read (${cause})`];
    throw new CertError(code, `${nameOrigin(origin)} ${text}`, {
      hint:
        code === 'ERR_CERT_FILE_MISSING'
          ? `check the path given to ${flag}`
          : `let the user of this program read the file given to ${flag}`,
      cause: error,
    });
  }
  const pem = bytes.toString('utf8');
  if (pem.trim() === '') {
    throw new CertError('ERR_CERT_FILE_EMPTY', `${nameOrigin(origin)} is empty`, {
      hint: 'write the PEM text into it, or wait until whatever writes it has done so',
    });
  }
  return { ...origin, pem };
}

function readBounded(path: string, origin: Origin): Buffer {
  // Without O_NONBLOCK a pipe nobody writes to would hold the program here for ever.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(fd);
    if (stat.isDirectory()) {
      throw new CertError('ERR_CERT_FILE_IS_DIRECTORY', `${nameOrigin(origin)} is a directory`, {
        hint: `give ${origin.flag} the file in it`,
      });
    }
    if (!stat.isFile()) {
      throw new CertError('ERR_CERT_FILE_UNREADABLE', `${nameOrigin(origin)} is not a regular file`, {
        hint: `give ${origin.flag} a file`,
      });
    }
    const buffer = Buffer.alloc(Math.min(stat.size, MAX_FILE_BYTES) + 1);
    let length = 0;
    for (let n = 1; n > 0 && length < buffer.length; length += n) {
      n = readSync(fd, buffer, length, buffer.length - length, null);
    }
    if (length > MAX_FILE_BYTES) {
      throw new CertError('ERR_CERT_FILE_TOO_BIG', `${nameOrigin(origin)} is bigger than 1 MiB`, {
        hint: 'this is no certificate or key file',
      });
    }
    return buffer.subarray(0, length);
  } finally {
    closeSync(fd);
  }
}

export interface PemBlock {
  readonly label: string;
  /** Line of BEGIN, counted from 1. */
  readonly line: number;
  /** RFC 1421 headers, such as those of an encrypted key; empty for others. */
  readonly headers: readonly string[];
  readonly der: Buffer;
}

const BOUNDARY = /^-----(BEGIN|END) ([A-Z0-9][A-Z0-9 ]{0,63})-----\s*$/;

/** The blocks of a text, in order. Throws ERR_CERT_PEM_MALFORMED for one that is cut off or is not base64. */
export function pemBlocks(source: PemSource): PemBlock[] {
  const blocks: PemBlock[] = [];
  const lines = source.pem.split(/\r\n|\n|\r/);
  const malformed = (line: number, what: string): CertError =>
    new CertError(
      'ERR_CERT_PEM_MALFORMED',
      `${nameOrigin(source)}: the block begun in line ${line} ${what}`,
      {
        hint: 'the file was cut off or changed on its way; copy it again',
      },
    );
  let open: { label: string; line: number; headers: string[]; body: string[] } | null = null;
  for (const [index, raw] of lines.entries()) {
    // Editors of another system put a byte order mark in front of the first line.
    const text = index === 0 ? raw.replace(/^\ufeff/, '') : raw;
    const boundary = BOUNDARY.exec(text);
    if (!open) {
      if (boundary?.[1] === 'BEGIN')
        open = { label: boundary[2] ?? '', line: index + 1, headers: [], body: [] };
      continue;
    }
    if (!boundary) {
      if (text.includes(':')) open.headers.push(text.trim());
      else if (text.trim() !== '') open.body.push(text.trim());
      continue;
    }
    if (boundary[1] === 'BEGIN' || boundary[2] !== open.label)
      throw malformed(open.line, 'has no end of its own');
    const base64 = open.body.join('');
    if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64) || base64.length % 4 !== 0) {
      throw malformed(open.line, base64 === '' ? 'is empty' : 'is not base64 text');
    }
    blocks.push({
      label: open.label,
      line: open.line,
      headers: open.headers,
      der: Buffer.from(base64, 'base64'),
    });
    open = null;
  }
  if (open) throw malformed(open.line, 'does not end');
  return blocks;
}

/** One block in 64-character lines, with a line end after its last. */
export function pemBlock(label: string, der: Uint8Array): string {
  const base64 = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString('base64');
  let text = `-----BEGIN ${label}-----\n`;
  for (let i = 0; i < base64.length; i += 64) text += `${base64.slice(i, i + 64)}\n`;
  return `${text}-----END ${label}-----\n`;
}

const looksLikeDer = (pem: string): boolean => pem.startsWith('0\x82') || /^0[\ufffd\u0080-\u00ff]/.test(pem);

const certificateLabels: ReadonlySet<string> = new Set(['CERTIFICATE', 'X509 CERTIFICATE']);

/**
 * The certificates of a text, in order; blocks of other kinds are passed over. Throws ERR_CERT_NO_CERTIFICATE when
 * there is none, and `unreadable` naming the block when one does not parse.
 */
export function certificatesIn(
  source: PemSource,
  unreadable: 'ERR_CERT_UNREADABLE' | 'ERR_CERT_ANCHOR_UNREADABLE' = 'ERR_CERT_UNREADABLE',
): X509Certificate[] {
  const blocks = pemBlocks(source).filter(block => certificateLabels.has(block.label));
  if (blocks.length === 0) {
    throw new CertError('ERR_CERT_NO_CERTIFICATE', `${nameOrigin(source)} holds no certificate`, {
      hint: looksLikeDer(source.pem)
        ? `it looks like DER; convert it with: openssl x509 -inform der -in ${source.file}`
        : `give ${source.flag} a file with a block that begins with -----BEGIN CERTIFICATE-----`,
    });
  }
  return blocks.map((block, index) => {
    try {
      const certificate = new X509Certificate(block.der);
      // X509Certificate takes a DER value and looks no further; bytes behind it are nobody's certificate.
      if (!certificate.raw.equals(block.der)) throw new Error('bytes follow the certificate');
      return certificate;
    } catch (cause) {
      throw new CertError(
        unreadable,
        `${nameOrigin(source)}: block ${index + 1} of ${blocks.length}, begun in line ${block.line}, is no certificate`,
        { hint: 'copy the file again, or leave that block out', cause },
      );
    }
  });
}

const keyLabels: Readonly<Record<string, 'pkcs8' | 'pkcs1' | 'sec1'>> = {
  'PRIVATE KEY': 'pkcs8',
  'RSA PRIVATE KEY': 'pkcs1',
  'EC PRIVATE KEY': 'sec1',
};

/** Whether the text carries a private key of any kind. */
export const holdsPrivateKey = (source: PemSource): boolean =>
  pemBlocks(source).some(block => block.label.endsWith('PRIVATE KEY'));

/**
 * The one private key of a text: PKCS#8, PKCS#1 or SEC1, not encrypted, of a kind TLS may use here. Throws
 * ERR_CERT_NO_KEY, ERR_CERT_SEVERAL_KEYS, ERR_CERT_KEY_ENCRYPTED, ERR_CERT_KEY_UNREADABLE, ERR_CERT_KEY_UNSUPPORTED
 * or ERR_CERT_WEAK.
 */
export function privateKeyIn(source: PemSource): KeyObject {
  const blocks = pemBlocks(source).filter(block => block.label.endsWith('PRIVATE KEY'));
  const [block] = blocks;
  const name = nameOrigin(source);
  if (!block) {
    throw new CertError('ERR_CERT_NO_KEY', `${name} holds no private key`, {
      hint: looksLikeDer(source.pem)
        ? `it looks like DER; convert it with: openssl pkey -inform der -in ${source.file}`
        : `give ${source.flag} a file with a block that begins with -----BEGIN PRIVATE KEY-----`,
    });
  }
  if (blocks.length > 1) {
    throw new CertError('ERR_CERT_SEVERAL_KEYS', `${name} holds ${blocks.length} private keys`, {
      hint: 'keep the one that belongs to the certificate',
    });
  }
  if (block.label === 'ENCRYPTED PRIVATE KEY' || block.headers.some(h => /^Proc-Type:.*ENCRYPTED/.test(h))) {
    throw new CertError('ERR_CERT_KEY_ENCRYPTED', `the private key in ${name} is encrypted`, {
      hint: `a daemon has nobody to ask for the passphrase; decrypt it with: openssl pkey -in ${source.file} -out new.key`,
    });
  }
  const type = keyLabels[block.label];
  let key: KeyObject;
  try {
    if (!type) throw new Error(`a block of the kind ${block.label}`);
    key = createPrivateKey({ key: block.der, format: 'der', type });
  } catch (cause) {
    throw new CertError('ERR_CERT_KEY_UNREADABLE', `the private key in ${name} cannot be read`, {
      hint: 'use PKCS#8, PKCS#1 or SEC1, as openssl writes them',
      cause,
    });
  }
  const verification = keyFitness(key);
  if (verification === 'weak') {
    throw new CertError('ERR_CERT_WEAK', `the key in ${name} is ${keyName(key)}`, {
      hint: `use ECDSA P-256, or RSA of at least ${MIN_RSA_BITS} bits`,
    });
  }
  if (verification === 'unsupported') {
    throw new CertError('ERR_CERT_KEY_UNSUPPORTED', `the key in ${name} is of the kind ${keyName(key)}`, {
      hint: 'use ECDSA on P-256, P-384 or P-521, Ed25519, or RSA',
    });
  }
  return key;
}
