// SPDX-License-Identifier: Apache-2.0
// Every file of ours that a document names is there: links, paths in backquotes that begin at the top of the tree, tests.
// So is every error code, and those of certificates all stand on their page.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

function markdownBelow(folder, into = []) {
  for (const entry of existsSync(folder) ? readdirSync(folder, { withFileTypes: true }) : []) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!['node_modules', 'dist', '.git', '.tap', 'bundle'].includes(entry.name)) markdownBelow(path, into);
    } else if (entry.name.endsWith('.md')) into.push(path);
  }
  return into;
}

/**
 * Complaints about one tree.
 * @param {string} top
 * @returns {string[]}
 */
export function documents(top) {
  return markdownBelow(top).flatMap(file => {
    const text = readFileSync(file, 'utf8');
    const named = [...text.matchAll(/`((?:packages|scripts|test|podvm-files|docs)\/[\w./-]*\w\/?)`/g)].map(
      ([, path]) => join(top, path),
    );
    const linked = [...text.matchAll(/\]\((?!\w+:|#)([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, path]) =>
      join(dirname(file), path),
    );
    // A page about tests names them as they lie beside it, or below packages/.
    const tests = [...text.matchAll(/`((?!packages\/|test\/)[\w/-]+\/[\w-]+\.test\.ts)`/g)]
      .map(([, path]) => [join(dirname(file), path), join(top, 'packages', path)])
      .filter(places => !places.some(path => existsSync(path)))
      .map(([path]) => path);
    return (
      [...named, ...linked, ...tests]
        // NAME is whatever the reader calls it.
        .filter(path => !/\bNAME\b/.test(path) && !existsSync(path))
        .map(path => `${relative(top, file)} names ${relative(top, path)}, which is not there`)
    );
  });
}

/**
 * Complaints about the error codes in documents, the log of changes left out.
 * @param {ReturnType<import('./tree.mjs').readTree>} tree
 * @param {string} top
 * @returns {string[]}
 */
export function documentedCodes({ sources }, top) {
  const known = new Set(
    sources.flatMap(({ code }) => [...code.matchAll(/'(ERR_[A-Z0-9_]+)'/g)].map(([, name]) => name)),
  );
  const said = markdownBelow(top)
    .filter(file => !file.endsWith('CHANGELOG.md'))
    .flatMap(file =>
      [...new Set(readFileSync(file, 'utf8').match(/\bERR_[A-Z0-9_]+[A-Z0-9]\b/g))]
        .filter(name => !known.has(name))
        .map(name => `${relative(top, file)} names ${name}, which no source does`),
    );
  const page = join(top, 'docs/certificates.md');
  const text = existsSync(page) ? readFileSync(page, 'utf8') : '';
  const missing = [...known]
    .filter(name => /^ERR_(?:CERT|TRUST)_/.test(name) && !new RegExp(`\\b${name}\\b`).test(text))
    .map(name => `docs/certificates.md does not name ${name}`);
  return [...said, ...missing];
}
