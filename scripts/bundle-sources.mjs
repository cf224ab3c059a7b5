// SPDX-License-Identifier: Apache-2.0
// What the single-file programs of bundle/ were made from, as one checksum that lies beside them: an image build compares
// it with the sources it sees, so that no old program goes into an image unnoticed. Needs Node alone, no installed package.
//
//   node scripts/bundle-sources.mjs [DIR]   ends with 1 and a line when DIR (default bundle) is not of these sources
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const FILE = 'sources.sha256';
/** What a package's programs are made of, besides its manifest. */
const FOLDERS = ['src', 'proto'];
const COMMON = ['package-lock.json', 'scripts/bundle.mjs', 'scripts/build.mjs'];

/**
 * One checksum over everything that goes into the programs, by name and content.
 * @param {string} root top directory of the project
 */
function sourcesDigest(root) {
  const files = [...COMMON];
  for (const name of readdirSync(join(root, 'packages')).toSorted()) {
    files.push(`packages/${name}/package.json`);
    for (const folder of FOLDERS) files.push(...filesBelow(root, `packages/${name}/${folder}`));
  }
  const hash = createHash('sha256');
  for (const path of files.filter(path => existsSync(join(root, path)))) {
    const content = createHash('sha256')
      .update(readFileSync(join(root, path)))
      .digest('hex');
    hash.update(`${content}  ${path}\n`);
  }
  return hash.digest('hex');
}

function filesBelow(root, folder) {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name).slice(root.length).replace(/^\/+/, ''))
    .toSorted();
}

/** Writes down what the programs in `directory` were made from. */
export function noteSources(root, directory) {
  writeFileSync(join(directory, FILE), `${sourcesDigest(root)}\n`);
}

/**
 * Why the programs in `directory` are not those of the sources in `root`; null when they are.
 * @param {string} root
 * @param {string} directory
 */
export function staleness(root, directory) {
  const note = join(directory, FILE);
  if (!existsSync(note))
    return `${directory} does not say what it was made from; npm run bundle makes the programs`;
  return readFileSync(note, 'utf8').trim() === sourcesDigest(root)
    ? null
    : `${directory} was made from other sources than these; npm run bundle makes the programs anew`;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  const stale = staleness(root, process.argv[2] ?? join(root, 'bundle'));
  if (stale !== null) {
    process.stderr.write(`bundle-sources: ${stale}\n`);
    process.exitCode = 1;
  }
}
