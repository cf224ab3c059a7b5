// SPDX-License-Identifier: Apache-2.0
// apf.json, the forwarder's configuration: written byte for byte as upstream's adaptor does, read as upstream's
// forwarder does. No files here, and no meaning: whether a pair fits or a suite exists is decided elsewhere.
import { checkShape, jsonObject, kindOf } from '@peerpod-tls/base/schema';
import * as v from 'valibot';
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
  /** Id of the sandbox, for the log on the other end. Ours: upstream's forwarder leaves it alone. */
  readonly sandboxId?: string | undefined;
}

export interface ParsedApf {
  readonly config: ApfConfig;
  /** Keys nobody knows, as written. A newer adaptor may send them; worth a warning. */
  readonly unknownKeys: readonly string[];
  /** Bytes after the JSON value, which the reader leaves alone; worth a warning. */
  readonly trailingBytes: number;
}

const SUITES = 'tls-cipher-suites';
const SANDBOX = 'sandbox-id';

/** Null is nothing, as in Go. */
const text = v.nullish(v.string(), '');
/** The keys in upstream's order, ours last. */
const shape = v.object({
  'pod-network': v.nullish(jsonObject),
  'pod-namespace': text,
  'pod-name': text,
  'tls-server-key': text,
  'tls-server-cert': text,
  'tls-client-ca': text,
  'tls-min-version': text,
  [SUITES]: v.nullish(v.array(v.nullable(v.string(), '')), []),
  [SANDBOX]: text,
});
const KEYS: readonly string[] = Object.keys(shape.entries);

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
  const put = (key: string, value: string | readonly string[] | undefined): void => {
    if (value !== undefined && value.length > 0) document[key] = value;
  };
  put('tls-server-key', config.tlsServerKey);
  put('tls-server-cert', config.tlsServerCert);
  put('tls-client-ca', config.tlsClientCa);
  put('tls-min-version', config.tlsMinVersion);
  put(SUITES, config.tlsCipherSuites);
  put(SANDBOX, config.sandboxId);
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
  const checked = checkShape(shape, Object.fromEntries(found));
  if (checked.t === 'mismatch')
    throw new UserDataError('ERR_USER_DATA_APF', `${checked.where} in apf.json ${checked.what}`);
  return { config: configOf(checked.value), unknownKeys, trailingBytes };
}

/** Empty texts are left out, as when they are written. */
function configOf(values: v.InferOutput<typeof shape>): ApfConfig {
  const optional = Object.entries({
    tlsServerKey: values['tls-server-key'],
    tlsServerCert: values['tls-server-cert'],
    tlsClientCa: values['tls-client-ca'],
    tlsMinVersion: values['tls-min-version'],
    tlsCipherSuites: values[SUITES],
    sandboxId: values[SANDBOX],
  }).filter(([, value]) => value.length > 0);
  const network = values['pod-network'] ?? null;
  return {
    podNetwork: network === null || leadsNowhere(network) ? null : network,
    podNamespace: values['pod-namespace'],
    podName: values['pod-name'],
    ...Object.fromEntries(optional),
  };
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
