// SPDX-License-Identifier: Apache-2.0
// Trees of the person who builds the image, laid over everything else: a pause bundle, guest components, units, another
// configuration of the agent. Copies; what the files mean is not looked at.
import {
  chmodSync,
  chownSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { BuildError } from './options.mjs';

/** Where files have a check of their own that a copy would go around. */
const CERTIFICATES = 'etc/certificates';

/**
 * Copies what is below `directory` to the same places in `tree`. Files keep whether they may be run, links stay links,
 * and everything belongs to root.
 *
 * @param {string} tree root of the unpacked image
 * @param {string} directory
 * @returns {Record<string, string>} path in the image to checksum, or to the target of a link
 */
export function layOverlay(tree, directory) {
  const placed = {};
  walk(directory, '', (path, entry) => {
    const from = join(directory, path);
    const to = join(tree, path);
    const there = lstatSync(to, { throwIfNoEntry: false });
    if (entry.isDirectory()) {
      if (there?.isSymbolicLink() === true)
        throw new BuildError(
          `--overlay ${directory} holds ${path}/, which is a link to ${readlinkSync(to)} in the image: put the files there`,
        );
      if (there !== undefined && !there.isDirectory())
        throw new BuildError(`--overlay ${directory} holds ${path}/, which is a file in the image`);
      if (there === undefined) {
        mkdirSync(to);
        finish(to, lstatSync(from).mode & 0o777);
      }
      return;
    }
    if (path === CERTIFICATES || path.startsWith(`${CERTIFICATES}/`))
      throw new BuildError(`--overlay ${directory} holds ${path}: give certificates with --certificates`);
    if (there?.isDirectory() === true)
      throw new BuildError(`--overlay ${directory} holds ${path}, which is a directory in the image`);
    rmSync(to, { force: true });
    if (entry.isSymbolicLink()) {
      const target = readlinkSync(from);
      symlinkSync(target, to);
      placed[`/${path}`] = `-> ${target}`;
    } else if (entry.isFile()) {
      copyFileSync(from, to);
      finish(to, (lstatSync(from).mode & 0o111) === 0 ? 0o644 : 0o755);
      placed[`/${path}`] = createHash('sha256').update(readFileSync(to)).digest('hex');
    } else throw new BuildError(`--overlay ${directory} holds ${path}, which is no file, directory or link`);
  });
  if (Object.keys(placed).length === 0) throw new BuildError(`--overlay ${directory} holds no file`);
  return placed;
}

function finish(path, mode) {
  if (process.getuid?.() === 0) chownSync(path, 0, 0);
  chmodSync(path, mode);
}

/** Directories before what is in them, by name. */
function walk(directory, prefix, visit) {
  const entries = readdirSync(join(directory, prefix), { withFileTypes: true });
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
    visit(path, entry);
    if (entry.isDirectory()) walk(directory, path, visit);
  }
}
