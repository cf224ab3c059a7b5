// SPDX-License-Identifier: Apache-2.0
// Finds a program as a shell would: a path as it is, a bare name through PATH. Starts nothing.
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';

export type FoundProgram =
  | { readonly t: 'found'; /** Absolute. */ readonly path: string }
  /** There is a file, which this user may not execute. */
  | { readonly t: 'not-executable'; readonly path: string }
  | { readonly t: 'missing'; /** Where it was looked for, to end a sentence with. */ readonly where: string };

export function findProgram(name: string, path = process.env['PATH'] ?? ''): FoundProgram {
  const isPath = name.includes('/');
  const places = isPath
    ? [resolve(name)]
    : path.split(delimiter).flatMap(directory => (directory === '' ? [] : [join(directory, name)]));
  const found = places.find(isProgram);
  if (found !== undefined) return { t: 'found', path: found };
  const there = places.find(place => statSync(place, { throwIfNoEntry: false })?.isFile() === true);
  return there === undefined
    ? { t: 'missing', where: isPath ? '' : ' in PATH' }
    : { t: 'not-executable', path: there };
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
