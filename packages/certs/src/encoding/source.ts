// SPDX-License-Identifier: Apache-2.0
// Where PEM text comes from: a file that somebody named, or text with a name for it. What the text holds is not looked
// at here.
import { codeOf, readSmallFile } from '@peerpod-tls/base';
import { CertError, type CertErrorCode } from '../errors.js';

/** Where PEM text came from, for messages: the file, and the flag or configuration key that named it. */
export interface Origin {
  readonly file: string;
  readonly flag: string;
}

export interface PemSource extends Origin {
  readonly pem: string;
  /** The file as it is, for telling what it holds instead of PEM text. Left out for text that came from no file. */
  readonly bytes?: Buffer;
}

/** A bundle of a thousand certificates fits; anything bigger is not what the flag meant. */
const MAX_FILE_BYTES = 1024 * 1024;

/** `tls.crt (-cert-file)`. */
export const nameOrigin = (origin: Origin): string => `${origin.file} (${origin.flag})`;

const readFailures: Readonly<Record<string, readonly [CertErrorCode, string, string]>> = {
  ERR_FILE_MISSING: ['ERR_CERT_FILE_MISSING', 'does not exist', 'check the path given to'],
  ERR_FILE_NOT_REGULAR: ['ERR_CERT_FILE_NOT_REGULAR', 'is a directory, a pipe or a device', 'give a file to'],
  ERR_FILE_TOO_BIG: [
    'ERR_CERT_FILE_TOO_BIG',
    'is bigger than 1 MiB',
    'this is no certificate or key file; give another one to',
  ],
};

/**
 * Reads a PEM file of at most 1 MiB, through links. Throws ERR_CERT_FILE_MISSING, ERR_CERT_FILE_UNREADABLE,
 * ERR_CERT_FILE_NOT_REGULAR, ERR_CERT_FILE_EMPTY or ERR_CERT_FILE_TOO_BIG, each naming the file and the flag.
 */
export function readPem(path: string, flag: string): PemSource {
  const origin: Origin = { file: path, flag };
  const bytes = readBytes(path, origin);
  const pem = bytes.toString('utf8');
  if (pem.trim() === '') {
    throw new CertError('ERR_CERT_FILE_EMPTY', `${nameOrigin(origin)} is empty`, {
      hint: 'write the PEM text into it, or wait until whatever writes it has done so',
    });
  }
  return { ...origin, pem, bytes };
}

function readBytes(path: string, origin: Origin): Buffer {
  try {
    return readSmallFile(path, { maxBytes: MAX_FILE_BYTES }).bytes;
  } catch (cause) {
    const [code, text, hint] = readFailures[codeOf(cause)] ?? [
      'ERR_CERT_FILE_UNREADABLE',
      'cannot be read',
      'let the user of this program read the file given to',
    ];
    const why = code === 'ERR_CERT_FILE_UNREADABLE' && cause instanceof Error ? `: ${cause.message}` : '';
    throw new CertError(code, `${nameOrigin(origin)} ${text}${why}`, {
      hint: `${hint} ${origin.flag}`,
      cause,
    });
  }
}
