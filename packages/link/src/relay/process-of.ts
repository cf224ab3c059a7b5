// SPDX-License-Identifier: Apache-2.0
// Which process in the guest a request of the agent's is about. All that name one begin with the container (field 1) and
// the process in it (field 2, absent for the container's own). Only the beginning of the bytes is looked at.

const CONTAINER = 0x0a;
const EXEC = 0x12;

/** Container and process as one text, or an empty one when the message does not begin with a container. */
export function processOf(message: Uint8Array): string {
  const container = textAt(message, 0, CONTAINER);
  if (container === null) return '';
  const exec = textAt(message, container.end, EXEC);
  return JSON.stringify([container.text, exec?.text ?? '']);
}

/** A text field of less than 128 bytes, as every name of a container or a process is. */
function textAt(message: Uint8Array, at: number, tag: number): { text: string; end: number } | null {
  const length = message[at + 1] ?? 0xff;
  const end = at + 2 + length;
  if (message[at] !== tag || length >= 0x80 || end > message.length) return null;
  return { text: Buffer.from(message.subarray(at + 2, end)).toString('latin1'), end };
}
