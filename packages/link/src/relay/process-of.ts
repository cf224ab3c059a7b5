// SPDX-License-Identifier: Apache-2.0
// Which process in the guest a request of the agent's is about. All that name one begin with the container (field 1) and
// the process in it (field 2, absent for the container's own). Only the beginning of the bytes is looked at.

const CONTAINER = 0x0a;
const EXEC = 0x12;
const SERVICE = 0x0a;
const METHOD = 0x12;
const MESSAGE = 0x1a;

/** Container and process as one text, or an empty one when the message does not begin with a container. */
export function processOf(message: Uint8Array): string {
  const container = textAt(message, 0, CONTAINER);
  if (container === null) return '';
  const exec = textAt(message, container.end, EXEC);
  return JSON.stringify([container.text, exec?.text ?? '']);
}

/**
 * The same for a request's envelope, of which the beginning is enough: service (field 1), method (field 2), message
 * (field 3), in this order as every sender writes them.
 */
export function processIn(envelope: Uint8Array): string {
  const service = textAt(envelope, 0, SERVICE);
  const method = service === null ? null : textAt(envelope, service.end, METHOD);
  if (method === null || envelope[method.end] !== MESSAGE) return '';
  let at = method.end + 1;
  while ((envelope[at] ?? 0) >= 0x80) at++;
  return processOf(envelope.subarray(at + 1));
}

/** A text field of less than 128 bytes, as every name of a container or a process is. */
function textAt(message: Uint8Array, at: number, tag: number): { text: string; end: number } | null {
  const length = message[at + 1] ?? 0xff;
  const end = at + 2 + length;
  if (message[at] !== tag || length >= 0x80 || end > message.length) return null;
  return { text: Buffer.from(message.subarray(at + 2, end)).toString('latin1'), end };
}
