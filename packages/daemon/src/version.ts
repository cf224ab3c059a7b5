// SPDX-License-Identifier: Apache-2.0
// What a program says about itself. The commit is put in by whoever builds a bundle; there is none in a checkout.

/** Version of every package and program of the project; a test compares it with package.json. */
export const VERSION = '0.1.0';

declare const PEERPOD_COMMIT: string | undefined;

/** The three lines that upstream's programs print for their version, ours with the Node.js that runs them. */
export function versionBlock(program: string): string {
  const commit = typeof PEERPOD_COMMIT === 'string' ? PEERPOD_COMMIT : 'unknown';
  return `${program} version ${VERSION}\n  commit: ${commit}\n  node: ${process.version} (OpenSSL ${process.versions.openssl})\n`;
}
