// SPDX-License-Identifier: Apache-2.0
// The first handshake messages of TLS 1.2 as bytes, up to and with Certificate. They travel in the clear and nothing in
// them is signed, so whoever has a certificate can say them without its key; OpenSSL verifies the certificates as soon
// as it has read them. Bytes only: who says them to whom is in openssl-verdict.ts.

const u8 = (n: number): Buffer => Buffer.of(n);
const u16 = (n: number): Buffer => Buffer.of(n >> 8, n & 0xff);
const u24 = (n: number): Buffer => Buffer.of(n >> 16, (n >> 8) & 0xff, n & 0xff);
const short = (bytes: Buffer): Buffer => Buffer.concat([u16(bytes.length), bytes]);
const long = (bytes: Buffer): Buffer => Buffer.concat([u24(bytes.length), bytes]);

const TLS12 = 0x0303;
const HANDSHAKE = 22;
/** A record carries at most so many bytes (RFC 8446 section 5.1). */
const MAX_RECORD = 16_384;

const message = (type: number, body: Buffer): Buffer => Buffer.concat([u8(type), long(body)]);
const extension = (type: number, body: Buffer): Buffer => Buffer.concat([u16(type), short(body)]);

/** Handshake messages cut into records. */
function records(messages: readonly Buffer[]): Buffer {
  const all = Buffer.concat(messages);
  const parts: Buffer[] = [];
  for (let at = 0; at < all.length; at += MAX_RECORD) {
    parts.push(u8(HANDSHAKE), u16(TLS12), short(all.subarray(at, at + MAX_RECORD)));
  }
  return Buffer.concat(parts);
}

/** ECDHE with AES-128-GCM, by what the server signs with. */
const suites = { ecdsa: 0xc02b, rsa: 0xc02f } as const;

// Renegotiation info and extended master secret, without which OpenSSL hangs up early.
const common = [extension(0xff01, u8(0)), extension(0x0017, Buffer.alloc(0))];

const certificateMessage = (certificates: readonly Uint8Array[]): Buffer =>
  message(11, long(Buffer.concat(certificates.map(der => long(Buffer.from(der))))));

/** What a server says first: ServerHello, and the certificates, leaf first. */
export function serverFlight(certificates: readonly Uint8Array[], signs: 'ecdsa' | 'rsa'): Buffer {
  const hello = [
    u16(TLS12),
    Buffer.alloc(32, 1),
    u8(0),
    u16(suites[signs]),
    u8(0),
    short(Buffer.concat(common)),
  ];
  return records([message(2, Buffer.concat(hello)), certificateMessage(certificates)]);
}

/** What a client says first: P-256 and ECDSA with SHA-256, for the server certificate made for this. */
export function clientHello(): Buffer {
  const groups = extension(0x000a, short(u16(0x0017)));
  const points = extension(0x000b, Buffer.of(1, 0));
  const signatures = extension(0x000d, short(u16(0x0403)));
  const extensions = short(Buffer.concat([...common, groups, points, signatures]));
  const cipher = short(u16(suites.ecdsa));
  return records([
    message(1, Buffer.concat([u16(TLS12), Buffer.alloc(32, 1), u8(0), cipher, Buffer.of(1, 0), extensions])),
  ]);
}

/** What a client says once the server is done: its certificates, leaf first. */
export const clientFlight = (certificates: readonly Uint8Array[]): Buffer =>
  records([certificateMessage(certificates)]);
