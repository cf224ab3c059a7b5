// SPDX-License-Identifier: Apache-2.0
// apf.json, the forwarder's configuration: written byte for byte as upstream's adaptor does, read as upstream's
// forwarder does. No files here, and no meaning: whether a pair fits or a suite exists is judged elsewhere.
import { UserDataError } from './errors.js';
import { firstJsonValue } from './first-json-value.js';
import { leadsNowhere, NO_TUNNEL } from './pod-network.js';

/** Largest apf.json, in bytes. Two chains and a bundle are a few KiB. */
export const MAX_APF_BYTES = 1_048_576;

export interface ApfConfig {
  /** The pod's network as the tunneler knows it; null: no tunnel leads into the VM, which is written as one to itself. */
  readonly podNetwork: unknown;
  readonly podNamespace: string;
  readonly podName: string;
  /** PKCS#8 PEM. A secret. */
  readonly tlsServerKey?: string | undefined;
  /** PEM, the leaf first. */
  readonly tlsServerCert?: string | undefined;
  /** PEM bundle of the anchors for client certificates. */
  readonly tlsClientCa?: string | undefined;
  /** `VersionTLS12` or `VersionTLS13`. */
  readonly tlsMinVersion?: string | undefined;
  /** IANA names. */
  readonly tlsCipherSuites?: readonly string[] | undefined;
}

export interface ParsedApf {
  readonly config: ApfConfig;
  /** Keys nobody knows, as written. A newer adaptor may send them; worth a warning. */
  readonly unknownKeys: readonly string[];
  /** Bytes after the JSON value, which the reader leaves alone; worth a warning. */
  readonly trailingBytes: number;
}

/** Our name and the key in the file, in upstream's order. */
const TEXT_KEYS = {
  tlsServerKey: 'tls-server-key',
  tlsServerCert: 'tls-server-cert',
  tlsClientCa: 'tls-client-ca',
  tlsMinVersion: 'tls-min-version',
} as const;

type TextName = keyof typeof TEXT_KEYS;
const TEXT_NAMES = [
  'tlsServerKey',
  'tlsServerCert',
  'tlsClientCa',
  'tlsMinVersion',
] as const satisfies readonly TextName[];

const KEYS: readonly string[] = [
  'pod-network',
  'pod-namespace',
  'pod-name',
  ...Object.values(TEXT_KEYS),
  'tls-cipher-suites',
];

/** Keys of a transport that upstream has removed; older adaptors may still send them, and they mean nothing. */
const DEAD_KEYS: ReadonlySet<string> = new Set(['sc-pp-prv', 'sc-wn-pub']);

/** Go's encoder writes these as escapes, so that JSON can stand inside HTML. They occur only in strings. */
const ESCAPED: Readonly<Record<string, string>> = {
  '<': '\\u003c',
  '>': '\\u003e',
  '&': '\\u0026',
  '\u2028': '\\u2028',
  '\u2029': '\\u2029',
};

/**
 * Renders apf.json: four spaces, upstream's order of keys, empty optional values left out, Go's escapes. Text that is
 * not well-formed Unicode gets U+FFFD in its place, as in Go.
 */
export function renderApf(config: ApfConfig): string {
  const document: Record<string, unknown> = {
    'pod-network': config.podNetwork ?? NO_TUNNEL,
    'pod-namespace': config.podNamespace,
    'pod-name': config.podName,
  };
  for (const name of TEXT_NAMES) {
    if (config[name] !== undefined && config[name] !== '') document[TEXT_KEYS[name]] = config[name];
  }
  const suites = config.tlsCipherSuites ?? [];
  if (suites.length > 0) document['tls-cipher-suites'] = suites;
  const text = JSON.stringify(
    document,
    (_, value: unknown) => (typeof value === 'string' ? wellFormed(value) : value),
    4,
  );
  return text.replaceAll(/[<>&\u2028\u2029]/g, char => ESCAPED[char] ?? char);
}

/** `String.prototype.toWellFormed`, which the library of the compiler does not know yet. */
function wellFormed(text: string): string {
  return text.replaceAll(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '\ufffd');
}

/**
 * Reads apf.json as Go's decoder would: only the first JSON value, keys without regard to case, null as nothing.
 *
 * @throws UserDataError `ERR_USER_DATA_APF` when it is not JSON, not an object, or a value has the wrong type;
 * `ERR_USER_DATA_TOO_LARGE`. No message holds any content.
 */
export function parseApf(text: string): ParsedApf {
  const size = Buffer.byteLength(text);
  if (size > MAX_APF_BYTES) {
    throw new UserDataError(
      'ERR_USER_DATA_TOO_LARGE',
      `apf.json has ${size} bytes, ${MAX_APF_BYTES} are allowed`,
    );
  }
  const { value, end } = readFirstValue(text);
  const trailingBytes = Buffer.byteLength(text.slice(end).trim());
  const found = new Map<string, unknown>();
  const unknownKeys: string[] = [];
  for (const [key, member] of Object.entries(value)) {
    const known = canonicalKey(key);
    if (known === undefined) {
      if (!DEAD_KEYS.has(foldCase(key))) unknownKeys.push(key);
      continue;
    }
    if (found.has(known)) {
      throw new UserDataError(
        'ERR_USER_DATA_APF',
        `apf.json has the key ${known} twice, in different spelling`,
        {
          hint: 'keep one of them',
        },
      );
    }
    found.set(known, member);
  }
  const texts: { -readonly [K in TextName]?: string } = {};
  for (const name of TEXT_NAMES) {
    const text = readText(found, TEXT_KEYS[name]);
    if (text !== '') texts[name] = text;
  }
  const suites = readSuites(found.get('tls-cipher-suites'));
  const config: ApfConfig = {
    podNetwork: readNetwork(found.get('pod-network')),
    podNamespace: readText(found, 'pod-namespace'),
    podName: readText(found, 'pod-name'),
    ...texts,
    ...(suites.length === 0 ? {} : { tlsCipherSuites: suites }),
  };
  return { config, unknownKeys, trailingBytes };
}

function readFirstValue(text: string): { value: Readonly<Record<string, unknown>>; end: number } {
  const first = firstJsonValue(text);
  if (first.t === 'bad') {
    throw new UserDataError('ERR_USER_DATA_APF', `apf.json is not JSON: ${first.reason}`);
  }
  if (first.value === null) return { value: {}, end: first.end };
  if (!isObject(first.value)) {
    throw new UserDataError('ERR_USER_DATA_APF', `apf.json holds ${kindOf(first.value)}, not an object`);
  }
  return { value: first.value, end: first.end };
}

/** A key that is missing or null is the empty text, as in Go. */
function readText(found: ReadonlyMap<string, unknown>, key: string): string {
  const value = found.get(key) ?? '';
  if (typeof value !== 'string') throw wrongType(key, value, 'a text');
  return value;
}

function readNetwork(value: unknown): unknown {
  if (value === undefined || value === null) return null;
  if (!isObject(value)) throw wrongType('pod-network', value, 'an object');
  return leadsNowhere(value) ? null : value;
}

function readSuites(value: unknown): readonly string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw wrongType('tls-cipher-suites', value, 'a list of texts');
  return value.map((item: unknown, i) => {
    if (item === null) return '';
    if (typeof item !== 'string') throw wrongType(`tls-cipher-suites[${i}]`, item, 'a text');
    return item;
  });
}

function wrongType(key: string, value: unknown, wanted: string): UserDataError {
  return new UserDataError('ERR_USER_DATA_APF', `${key} in apf.json is ${kindOf(value)}, not ${wanted}`);
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  return (
    { string: 'a text', number: 'a number', boolean: 'a boolean', object: 'an object' }[
      typeof value as string
    ] ?? 'nothing'
  );
}

function canonicalKey(key: string): string | undefined {
  const folded = foldCase(key);
  return KEYS.find(known => known === folded);
}

/** Go compares names under simple case folding, which takes the long s and the Kelvin sign for letters, too. */
function foldCase(key: string): string {
  return key.replaceAll('\u017f', 's').replaceAll('\u212a', 'k').toLowerCase();
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
