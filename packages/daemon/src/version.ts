// SPDX-License-Identifier: Apache-2.0
// What a program says about itself, and how it is asked. Whoever builds it puts the commit in: a bundle as a constant,
// scripts/build.mjs as a file beside this one.
import { readFileSync } from 'node:fs';

/** Version of every package and program of the project; a test compares it with package.json. */
export const VERSION = '0.1.0';

declare const PEERPOD_COMMIT: string | undefined;

/** The commit this was built from, with `+` behind it where files had been changed since; `unknown` where none is known. */
export function commit(): string {
  if (typeof PEERPOD_COMMIT === 'string') return PEERPOD_COMMIT;
  try {
    return readFileSync(new URL('commit.txt', import.meta.url), 'utf8').trim() || 'unknown';
  } catch {
    return 'unknown';
  }
}

/** The three lines that upstream's programs print for their version, ours with the Node.js that runs them. */
export function versionBlock(program: string): string {
  return `${program} version ${VERSION}\n  commit: ${commit()}\n  node: ${process.version} (OpenSSL ${process.versions.openssl})\n`;
}

/** Whether a whole command line asks for the version, in one of the ways people try: as a word, or with either dash. */
export function isVersionRequest(argv: readonly string[]): boolean {
  return argv.length === 1 && ['version', '-version', '--version', '-V', '--V'].includes(argv[0] ?? '');
}

/** Whether a whole command line asks for help. */
export function isHelpRequest(argv: readonly string[]): boolean {
  return argv.length === 1 && ['help', '-help', '--help', '-h', '--h'].includes(argv[0] ?? '');
}
