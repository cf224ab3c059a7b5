// SPDX-License-Identifier: Apache-2.0
// Hexadecimal text with spaces between the fields, for readers.

/** The digits without the spaces. */
export function spaced(hex: string): string {
  return hex.replaceAll(' ', '');
}
