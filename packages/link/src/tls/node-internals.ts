// SPDX-License-Identifier: Apache-2.0
// The one file that reaches into objects of Node's own for which there is no public name. Each function says what
// becomes of us should a later Node have moved the thing: the safe side, never silence.
import { Socket } from 'node:net';
import type { SecureContext, TLSSocket } from 'node:tls';

/** OpenSSL's verdict was nowhere to be found. */
export const NO_VERDICT = Symbol('no verdict');

/**
 * What OpenSSL thinks of the peer's chain: null when good, else its error. Node offers it as `authorized` on sockets
 * that its own server or `connect` made; a server socket made by hand has it only on the handle.
 */
export function handshakeVerdict(socket: TLSSocket): unknown {
  const handle: unknown = Reflect.get(socket, 'ssl');
  const verifyError: unknown = isObject(handle) ? Reflect.get(handle, 'verifyError') : undefined;
  return typeof verifyError === 'function' ? (Reflect.apply(verifyError, handle, []) ?? null) : NO_VERDICT;
}

/** The TCP socket below a TLS one, which itself cannot be reset; the socket itself where there is none below. */
export function socketBelow(socket: Socket): Socket {
  const below: unknown = Reflect.get(socket, '_parent');
  return below instanceof Socket ? below : socket;
}

/** Sizes of the parts of a ticket key that Node looks at even when there is to be no ticket. */
const TICKET_PART = Buffer.alloc(16);

/**
 * Keeps a server from sending session tickets. OpenSSL's own option does that for TLS 1.2 only: under TLS 1.3 it makes
 * them stateful. So whoever is asked for a ticket's key answers that there is to be no ticket.
 * @returns false where this Node does not ask
 */
export function sendNoTickets(context: SecureContext): boolean {
  const handle: unknown = context.context;
  const enable: unknown = isObject(handle) ? Reflect.get(handle, 'enableTicketKeyCallback') : undefined;
  if (!isObject(handle) || typeof enable !== 'function') return false;
  // 0: no ticket to be made, and none that was shown is known.
  const answer = [0, TICKET_PART, TICKET_PART, TICKET_PART, TICKET_PART];
  Reflect.set(handle, 'onticketkeycallback', () => answer);
  Reflect.apply(enable, handle, []);
  return true;
}

/** Where a socket keeps the buffer it reads into, and whom it tells: what `onread` of `net.connect` sets. */
interface ReadSlots {
  readonly buffer: symbol;
  readonly callback: symbol;
}

const readSlots: ReadSlots | null = findReadSlots();

function findReadSlots(): ReadSlots | null {
  const named = (name: string): symbol | undefined =>
    Object.getOwnPropertySymbols(new Socket()).find(symbol => symbol.description === name);
  const [buffer, callback] = [named('kBuffer'), named('kBufferCb')];
  return buffer === undefined || callback === undefined ? null : { buffer, callback };
}

/** Whether sockets of this Node keep their `onread` where we would put it. */
export function canLendReads(): boolean {
  return readSlots !== null;
}

/**
 * Lets a socket that is open already read into this buffer, as `onread` of `net.connect` would have. `onRead` gets the
 * number of bytes that are at its start; the next read, of whichever socket, overwrites them. The buffer must live as long
 * as the process.
 * @returns false where this Node does not offer it, or this socket has nothing to read from; then nothing was changed
 */
export function lendReads(socket: Socket, buffer: Buffer, onRead: (length: number) => void): boolean {
  const handle: unknown = Reflect.get(socket, '_handle');
  const use: unknown = isObject(handle) ? Reflect.get(handle, 'useUserBuffer') : undefined;
  if (readSlots === null || !isObject(handle) || typeof use !== 'function') return false;
  Reflect.apply(use, handle, [buffer]);
  Reflect.set(socket, readSlots.buffer, buffer);
  Reflect.set(socket, readSlots.callback, (length: number) => {
    onRead(length);
    return true;
  });
  return true;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
