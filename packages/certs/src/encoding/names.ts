// SPDX-License-Identifier: Apache-2.0
// Names in certificates: distinguished names and subject alternative names, checked and encoded. Matching a name
// against a certificate is OpenSSL's.
import { isIP, isIPv4 } from 'node:net';
import { context, oid, printableString, sequence, set, utf8String, type DerNode } from './der.js';
import { CertError } from '../errors.js';

/** The attributes of a subject we write. */
export interface SubjectName {
  readonly C?: string;
  readonly O?: string;
  readonly OU?: string;
  readonly CN?: string;
}

/** In the order they are written, with the length RFC 5280 appendix A.1 allows, in characters. */
const attributes = [
  { key: 'C', oid: '2.5.4.6', max: 2 },
  { key: 'O', oid: '2.5.4.10', max: 64 },
  { key: 'OU', oid: '2.5.4.11', max: 64 },
  { key: 'CN', oid: '2.5.4.3', max: 64 },
] as const;

export const MAX_COMMON_NAME = 64;

/** No certificate of this system needs more; each costs a few bytes of every handshake. */
const MAX_NAMES = 100;

const isPrintableString = (text: string): boolean => /^[A-Za-z0-9 '()+,\-./:=?]*$/.test(text);
// oxlint-disable-next-line no-control-regex -- control characters are what this is looking for
const hasControl = (text: string): boolean => /[\u0000-\u001f\u007f-\u009f]/.test(text);

/** The DER Name of a subject. Throws ERR_CERT_SUBJECT_INVALID for an empty one or a value that may not stand there. */
export function encodeSubject(subject: SubjectName): DerNode {
  const parts: DerNode[] = [];
  for (const { key, oid: type, max } of attributes) {
    const value = subject[key];
    if (value === undefined) continue;
    if (
      value.length === 0 ||
      [...value].length > max ||
      hasControl(value) ||
      /\p{Surrogate}/u.test(value) ||
      (key === 'C' && !/^[A-Z]{2}$/.test(value))
    ) {
      throw new CertError('ERR_CERT_SUBJECT_INVALID', `the subject's ${key} cannot be ${quote(value)}`, {
        hint:
          key === 'C'
            ? 'use the two capital letters of a country'
            : `use 1 to ${max} characters, none of them a control character`,
      });
    }
    const text = isPrintableString(value) ? printableString(value) : utf8String(value);
    parts.push(set(sequence(oid(type), text)));
  }
  if (parts.length === 0) {
    throw new CertError('ERR_CERT_SUBJECT_INVALID', 'a certificate needs a subject', {
      hint: 'give it at least O or CN',
    });
  }
  return sequence(...parts);
}

const quote = (value: string): string => JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);

const LABEL = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/;

function isDnsName(name: string): boolean {
  if (name.length > 253) return false;
  const labels = name.split('.');
  // A last label of digits alone is a mistyped address; verifiers would read it as one or the other.
  return labels.every(label => LABEL.test(label)) && !/^\d+$/.test(labels.at(-1) ?? '');
}

/** Refuses, with ERR_CERT_NAME_INVALID, whatever is neither an exact DNS name nor an IP address. */
export function checkNames(names: readonly string[]): void {
  if (names.length > MAX_NAMES) {
    throw new CertError('ERR_CERT_NAME_INVALID', `${names.length} names are too many for one certificate`, {
      hint: `use at most ${MAX_NAMES}`,
    });
  }
  for (const name of names) {
    if (isAddress(name) || isDnsName(name)) continue;
    throw new CertError('ERR_CERT_NAME_INVALID', `${quote(name)} is neither a DNS name nor an IP address`, {
      hint: 'use letters, digits and hyphens in labels of up to 63 characters (punycode for others), without a wildcard or a final dot',
    });
  }
}

// A zone such as %eth0 means something on one machine only, so it has no place in a certificate.
const isAddress = (name: string): boolean => isIP(name) !== 0 && !name.includes('%');

/** GeneralNames of checked DNS names and addresses (RFC 5280 section 4.2.1.6). */
export function encodeAlternativeNames(names: readonly string[]): DerNode {
  return sequence(
    ...[...new Set(names)].map(name =>
      isAddress(name) ? context(7, addressBytes(name)) : context(2, Buffer.from(name, 'latin1')),
    ),
  );
}

/** The 4 or 16 octets of an address that node:net has recognised. */
function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  // The URL parser writes every IPv6 address in its one canonical form, an embedded IPv4 part included.
  const text = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const [head = '', tail] = text.split('::');
  const groups = (part: string | undefined): number[] =>
    part === undefined || part === '' ? [] : part.split(':').map(group => Number.parseInt(group, 16));
  const before = groups(head);
  const after = groups(tail);
  const bytes = Buffer.alloc(16);
  before.forEach((group, i) => bytes.writeUInt16BE(group, i * 2));
  after.forEach((group, i) => bytes.writeUInt16BE(group, 16 - (after.length - i) * 2));
  return bytes;
}

/** `O=x, CN=y` from the line-by-line form OpenSSL gives, cut to what a log line can carry. */
export function oneLineName(lines: string | undefined): string {
  // OpenSSL escapes control characters before they get here, so a line end is always one between attributes.
  const text = (lines ?? '').split('\n').filter(Boolean).join(', ');
  if (text === '') return '(empty name)';
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}

/** Octets a peer chose, as text a terminal can show. */
export const showOctets = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, 253))
    .toString('latin1')
    .replace(/[^\x21-\x7e]/g, c => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);

/** An address of 4 or 16 octets as text; other lengths as hexadecimal. */
export function showAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return [...bytes].join('.');
  if (bytes.length !== 16) return `hex:${Buffer.from(bytes).toString('hex')}`;
  const groups = Buffer.from(bytes).toString('hex').match(/.{4}/g) ?? [];
  return new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1);
}
