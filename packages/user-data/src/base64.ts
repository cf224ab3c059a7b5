// SPDX-License-Identifier: Apache-2.0
// Base64 as RFC 4648 section 4 has it, read strictly: Node's own decoder takes anything and leaves out what it does not
// know, so that a cut or foreign text would pass for data.

/** The bytes, or null when the text is not standard base64 with its padding. Line breaks and blanks may be anywhere. */
export function decodeBase64(text: string): Buffer | null {
  const compact = text.replaceAll(/[ \t\r\n]+/g, '');
  const body = compact.replace(/={1,2}$/, '');
  if (compact.length % 4 !== 0 || /[^A-Za-z0-9+/]/.test(body)) return null;
  return Buffer.from(compact, 'base64');
}
