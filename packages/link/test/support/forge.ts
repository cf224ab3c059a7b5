// SPDX-License-Identifier: Apache-2.0
// Certificates that no honest issuer makes, put together byte by byte: whatever dates, extensions, algorithms and
// identifiers a test wants. Signed for real.
import {
  constants,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  type KeyObject,
} from 'node:crypto';

export const tlv = (tag: number, ...parts: readonly Buffer[]): Buffer => {
  const content = Buffer.concat(parts);
  const n = content.length;
  const length = n < 128 ? Buffer.of(n) : n < 256 ? Buffer.of(0x81, n) : Buffer.of(0x82, n >> 8, n & 0xff);
  return Buffer.concat([Buffer.of(tag), length, content]);
};
export const seq = (...parts: readonly Buffer[]): Buffer => tlv(0x30, ...parts);
const explicit = (n: number, ...parts: readonly Buffer[]): Buffer => tlv(0xa0 + n, ...parts);
const octets = (content: Buffer): Buffer => tlv(4, content);
const bits = (content: Buffer, unused = 0): Buffer => tlv(3, Buffer.of(unused), content);
const integer = (...bytes: number[]): Buffer => tlv(2, Buffer.from(bytes));
const TRUE = tlv(1, Buffer.of(0xff));
const NULL = tlv(5);

export function oid(dotted: string): Buffer {
  const [a = 0, b = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = rest.flatMap(n => {
    const out = [n & 0x7f];
    for (let left = n >> 7; left > 0; left >>= 7) out.unshift((left & 0x7f) | 0x80);
    return out;
  });
  return tlv(6, Buffer.from([a * 40 + b, ...bytes]));
}

export const utcTime = (text: string): Buffer => tlv(0x17, Buffer.from(text, 'latin1'));
export const generalizedTime = (text: string): Buffer => tlv(0x18, Buffer.from(text, 'latin1'));
const name = (cn: string): Buffer => seq(tlv(0x31, seq(oid('2.5.4.3'), tlv(12, Buffer.from(cn)))));

export const extension = (id: string, value: Buffer, critical = false): Buffer =>
  critical ? seq(oid(id), TRUE, octets(value)) : seq(oid(id), octets(value));

export const ext = {
  ca: (pathLength?: number) =>
    extension('2.5.29.19', pathLength === undefined ? seq(TRUE) : seq(TRUE, integer(pathLength)), true),
  notCa: () => extension('2.5.29.19', seq(), true),
  /** Bits by number, the first being digitalSignature, the sixth keyCertSign. */
  usage: (byte: number, unused: number) => extension('2.5.29.15', bits(Buffer.of(byte), unused), true),
  purposes: (...ids: string[]) => extension('2.5.29.37', seq(...ids.map(oid))),
  dns: (...names: string[]) => extension('2.5.29.17', seq(...names.map(n => tlv(0x82, Buffer.from(n))))),
  ip: (...bytes: number[]) => extension('2.5.29.17', seq(tlv(0x87, Buffer.from(bytes)))),
  subjectKey: (id: string) => extension('2.5.29.14', octets(Buffer.from(id))),
  issuerKey: (id: string) => extension('2.5.29.35', seq(tlv(0x80, Buffer.from(id)))),
  names: (kind: 'permitted' | 'excluded', ...trees: string[]) =>
    extension(
      '2.5.29.30',
      seq(explicit(kind === 'permitted' ? 0 : 1, ...trees.map(tree => seq(tlv(0x82, Buffer.from(tree)))))),
      true,
    ),
} as const;

export const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
export const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
export const ANY_PURPOSE = '2.5.29.37.0';

/** How a certificate is signed: what it says, and what is done. */
export interface Scheme {
  readonly algorithm: Buffer;
  readonly sign: (key: KeyObject, tbs: Buffer) => Buffer;
}

const hashOids = { sha1: '1.3.14.3.2.26', sha256: '2.16.840.1.101.3.4.2.1' } as const;

export const schemes = {
  ecdsa: { algorithm: seq(oid('1.2.840.10045.4.3.2')), sign: (key, tbs) => sign('sha256', tbs, key) },
  ecdsaSha1: { algorithm: seq(oid('1.2.840.10045.4.1')), sign: (key, tbs) => sign('sha1', tbs, key) },
  ecdsaSha224: { algorithm: seq(oid('1.2.840.10045.4.3.1')), sign: (key, tbs) => sign('sha224', tbs, key) },
  rsa: { algorithm: seq(oid('1.2.840.113549.1.1.11'), NULL), sign: (key, tbs) => sign('sha256', tbs, key) },
  pssSha1: pss('sha1'),
  pssSha256: pss('sha256'),
} satisfies Record<string, Scheme>;

function pss(hash: 'sha1' | 'sha256'): Scheme {
  const algorithm = seq(oid(hashOids[hash]), NULL);
  const salt = hash === 'sha1' ? 20 : 32;
  const parameters = seq(
    explicit(0, algorithm),
    explicit(1, seq(oid('1.2.840.113549.1.1.8'), algorithm)),
    explicit(2, integer(salt)),
  );
  return {
    algorithm: seq(oid('1.2.840.113549.1.1.10'), parameters),
    sign: (key, tbs) => sign(hash, tbs, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: salt }),
  };
}

export interface Forged {
  readonly certPem: string;
  readonly keyPem: string;
  readonly der: Buffer;
  readonly key: KeyObject;
  readonly cn: string;
}

export interface ForgeInput {
  readonly cn: string;
  /** Whose name and key sign; itself when left out. */
  readonly by?: Pick<Forged, 'cn' | 'key'>;
  readonly extensions?: readonly Buffer[];
  readonly notBefore?: Buffer;
  readonly notAfter?: Buffer;
  readonly version?: 1 | 3;
  readonly scheme?: Scheme;
  /** Default a new P-256 key. */
  readonly key?: KeyObject;
  readonly serial?: Buffer;
  /** The names as they stand in the certificate, where they are not those of `cn` and `by`. */
  readonly subject?: Buffer;
  readonly issuer?: Buffer;
  /** The public key and the algorithm that the signed part says, where they are not the real ones. */
  readonly spki?: Buffer;
  readonly algorithm?: Buffer;
}

const ecKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
export const rsaKey = (modulusLength = 2048): KeyObject =>
  generateKeyPairSync('rsa', { modulusLength }).privateKey;

const pem = (label: string, der: Buffer): string =>
  `-----BEGIN ${label}-----\n${der.toString('base64').replace(/.{64}(?!$)/g, '$&\n')}\n-----END ${label}-----\n`;

export function forge(input: ForgeInput): Forged {
  const { cn, extensions = [], version = 3, scheme = schemes.ecdsa, key = ecKey() } = input;
  const by = input.by ?? { cn, key };
  const spki = input.spki ?? publicOf(key);
  const serial = input.serial ?? Buffer.concat([Buffer.of(0x41), randomBytes(8)]);
  const tbs = seq(
    ...(version === 3 ? [explicit(0, integer(2))] : []),
    tlv(2, serial),
    input.algorithm ?? scheme.algorithm,
    input.issuer ?? name(by.cn),
    seq(input.notBefore ?? utcTime('200101000000Z'), input.notAfter ?? utcTime('480101000000Z')),
    input.subject ?? name(cn),
    spki,
    ...(extensions.length > 0 ? [explicit(3, seq(...extensions))] : []),
  );
  const der = seq(tbs, scheme.algorithm, bits(scheme.sign(by.key, tbs)));
  const keyPem = key.export({ type: 'pkcs8', format: 'pem' }).toString();
  return { certPem: pem('CERTIFICATE', der), keyPem, der, key, cn };
}

function publicOf(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: 'spki', format: 'der' });
}

/** A CA of that name. */
export const forgeCa = (cn: string, more: Partial<ForgeInput> = {}): Forged =>
  forge({ cn, extensions: [ext.ca()], ...more });

/** A server leaf for `podvm-server`, or a client leaf. */
export const forgeLeaf = (
  role: 'server' | 'client',
  by: Pick<Forged, 'cn' | 'key'>,
  more: Partial<ForgeInput> = {},
): Forged =>
  forge({
    cn: 'leaf',
    by,
    extensions: [
      ext.notCa(),
      ext.purposes(role === 'server' ? SERVER_AUTH : CLIENT_AUTH),
      ...(role === 'server' ? [ext.dns('podvm-server')] : []),
    ],
    ...more,
  });
