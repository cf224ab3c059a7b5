// SPDX-License-Identifier: Apache-2.0
// Initdata: TOML that a pod brings for its guest, gzipped and in base64, and measured. Read and written by both ends with
// this code. No disk here, and no opinion on which entry may become which file.
import { createHash } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import { codeOf } from '@peerpod-tls/base';
import { parse, TomlError } from 'smol-toml';
import { decodeBase64 } from './base64.js';
import { UserDataError } from './errors.js';

/**
 * Largest TOML text, in bytes. Kubernetes allows a pod 256 KiB of annotations, and policies pack well; a bomb is stopped
 * here, and reading it takes well under a second.
 */
export const MAX_INITDATA_BYTES = 2 * 1024 * 1024;

const ALGORITHMS = ['sha256', 'sha384', 'sha512'] as const;
export type InitdataAlgorithm = (typeof ALGORITHMS)[number];

const VERSION = '0.1.0';
const KEYS: ReadonlySet<string> = new Set(['algorithm', 'version', 'data']);

export interface Initdata {
  readonly algorithm: InitdataAlgorithm;
  /** Names and texts of the table `data`, in its order. */
  readonly entries: ReadonlyMap<string, string>;
  /** Hash over the bytes of the TOML text by `algorithm`, in lowercase hex. What an attester reports. */
  readonly digest: string;
  /** Top-level keys nobody knows; part of what is measured, and worth a warning. */
  readonly unknownKeys: readonly string[];
}

/** What a guest has when its pod brought nothing: an empty configuration of the attestation agent. */
export const EMPTY_INITDATA = 'algorithm = "sha256"\nversion = "0.1.0"\n\n[data]\n"aa.toml" = ""\n';

/** Packs TOML text the way it stands in user-data: base64 on one line. The same text always packs to the same. */
export function renderInitdata(toml: string | Uint8Array): string {
  return gzipSync(toml).toString('base64');
}

/**
 * Undoes {@link renderInitdata}: the bytes of the TOML text, not yet read.
 *
 * @throws UserDataError `ERR_USER_DATA_INITDATA`, also for one that is packed twice; `ERR_USER_DATA_TOO_LARGE`
 */
export function unpackInitdata(packed: string): Buffer {
  const zipped = decodeBase64(packed);
  if (zipped === null) throw bad('is not base64');
  if (zipped.length === 0) throw bad('is empty');
  if (zipped.readUInt8(0) !== 0x1f || zipped[1] !== 0x8b) throw bad('is base64, but not of gzip');
  let toml: Buffer;
  try {
    toml = gunzipSync(zipped, { maxOutputLength: MAX_INITDATA_BYTES });
  } catch (cause) {
    if (codeOf(cause) === 'ERR_BUFFER_TOO_LARGE') throw tooLarge();
    throw bad('is cut short, or damaged: gzip cannot be unpacked');
  }
  if (isPacked(toml))
    throw bad(
      'is packed twice',
      'what was packed had been packed before; once is right: gzip -c initdata.toml | base64 -w0',
    );
  return toml;
}

/** Whether bytes are gzip, or base64 of it, neither of which any TOML looks like. */
function isPacked(bytes: Buffer): boolean {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return true;
  const inner = decodeBase64(bytes.toString('latin1'));
  return inner !== null && inner[0] === 0x1f && inner[1] === 0x8b;
}

/**
 * Reads TOML text of version 0.1.0.
 *
 * @throws UserDataError `ERR_USER_DATA_INITDATA` naming the line or the key, `ERR_USER_DATA_TOO_LARGE`. No message holds
 * any value: they may be secrets.
 */
export function parseInitdata(toml: string | Uint8Array): Initdata {
  const bytes = Buffer.from(toml);
  if (bytes.length > MAX_INITDATA_BYTES) throw tooLarge();
  const document = parseToml(bytes);
  const algorithm = ALGORITHMS.find(name => name === document['algorithm']);
  if (algorithm === undefined)
    throw bad(`has ${has(document, 'algorithm')}; it must be ${ALGORITHMS.join(', ')}`);
  if (document['version'] !== VERSION) throw bad(`has ${has(document, 'version')}; it must be ${VERSION}`);
  return {
    algorithm,
    entries: readEntries(Object.hasOwn(document, 'data') ? document['data'] : {}),
    digest: createHash(algorithm).update(bytes).digest('hex'),
    unknownKeys: Object.keys(document).filter(key => !KEYS.has(key)),
  };
}

function parseToml(bytes: Buffer): Readonly<Record<string, unknown>> {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw bad('is not UTF-8 text');
  }
  try {
    return parse(text, { maxDepth: 20 });
  } catch (error) {
    // The library's message quotes the lines around the place.
    const where = error instanceof TomlError ? ` in line ${error.line}, column ${error.column}` : '';
    throw bad(`is not TOML: something is wrong${where}`);
  }
}

function readEntries(table: unknown): ReadonlyMap<string, string> {
  if (typeof table !== 'object' || table === null || Array.isArray(table) || table instanceof Date)
    throw bad('has a data that is no table');
  const entries = new Map<string, string>();
  for (const [name, value] of Object.entries(table) as [string, unknown][]) {
    if (typeof value !== 'string') {
      const hint = "write the name in quotes: \"aa.toml\" = '''…'''";
      throw bad(`has an entry ${JSON.stringify(name.slice(0, 64))} that is no text`, hint);
    }
    entries.set(name, value);
  }
  return entries;
}

function has(document: Readonly<Record<string, unknown>>, key: string): string {
  const value = document[key];
  return typeof value === 'string'
    ? `${key} ${JSON.stringify(value.slice(0, 32))}`
    : `no ${key} that is text`;
}

function tooLarge(): UserDataError {
  return new UserDataError(
    'ERR_USER_DATA_TOO_LARGE',
    `the initdata unpacks to more than ${MAX_INITDATA_BYTES} bytes`,
  );
}

function bad(what: string, hint = 'pack it with: gzip -c initdata.toml | base64 -w0'): UserDataError {
  return new UserDataError('ERR_USER_DATA_INITDATA', `the initdata ${what}`, { hint });
}
