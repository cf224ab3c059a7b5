// SPDX-License-Identifier: Apache-2.0
// What the first bytes on a TLS port are when they are no TLS. No sockets here.
import { FrameType, HEADER_LENGTH, MAX_MESSAGE_LENGTH } from '@peerpod-tls/ttrpc/relay';

const HANDSHAKE_RECORD = 0x16;

export interface StrangeHello {
  readonly rule: 'speaks-plain-ttrpc' | 'speaks-http' | 'not-tls';
  readonly text: string;
}

/** Null for the beginning of a TLS handshake (RFC 8446 section 5.1); else what it looks like. */
export function classifyHello(head: Buffer): StrangeHello | null {
  if (head[0] === HANDSHAKE_RECORD && (head.length < 2 || head[1] === 3)) return null;
  if (looksLikeTtrpc(head))
    return {
      rule: 'speaks-plain-ttrpc',
      text: 'it spoke plain ttrpc to the TLS port (is -disable-tls set on the other side?)',
    };
  if (/^(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|CONNECT|PRI) /u.test(head.toString('latin1', 0, 8)))
    return { rule: 'speaks-http', text: 'it spoke HTTP to the TLS port' };
  return { rule: 'not-tls', text: `its first bytes are no TLS: ${head.toString('hex', 0, 16)}` };
}

function looksLikeTtrpc(head: Buffer): boolean {
  if (head.length < HEADER_LENGTH) return false;
  const type = head[8];
  return (
    head.readUInt32BE(0) <= MAX_MESSAGE_LENGTH && head.readUInt32BE(4) % 2 === 1 && type === FrameType.request
  );
}
