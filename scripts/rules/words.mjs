// SPDX-License-Identifier: Apache-2.0
// One word for one thing, and the field's word: what docs/architecture.md's glossary replaced is not used again, neither in
// names, comments and messages nor in the documents.

import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/** The word that is not used, where it may stand all the same, and the one that is. */
const words = [
  {
    no: /\b(?:the|its|our|per) letter\b|\bconst letter\b|[a-z]Letter\b|\bletter[A-Z]|\bLetter[A-Z]/,
    unless: /one-letter|single letter|capital letter|by letter|first letter|letter for letter/,
    say: 'user-data',
  },
  { no: /\bnewcomers?\b/i, say: 'pending handshake' },
  { no: /\bjudg(?:e|es|ed|ing|ement|ment)\b|\bJudged?[A-Z]|\bjudge[A-Z]/, say: 'verify' },
  // Records of the first version called it so.
  { no: /\bwish(?:es|ed)?\b/i, say: 'spec', except: /\/record\// },
  {
    no: /\b(?:openBack|backOpener|BackOpener|front-closed|back-closed|back-lost)\b|\b(?:const|let) (?:front|back)\b|\.(?:front|back)\b/,
    say: 'downstream and upstream',
  },
  {
    no: /\b\w*[Ee]dits\b|\bEdit[A-Z]|\bedit[A-Z]|\b(?:request|container|sandbox|frame) edit\b/,
    say: 'rewrite',
  },
  { no: /\b(?:no|free|more|enough) room\b|\bnoRoom\b|\broomAt\b/, say: 'free space' },
  { no: /\b[a-z]+Words\b/, say: 'messages or argv' },
];

/**
 * Complaints about some files: file, line, the word and what to say instead.
 * @param {readonly { path: string, text: string }[]} files
 * @returns {string[]}
 */
export function replacedTerms(files) {
  return files.flatMap(({ path, text }) =>
    text
      .split('\n')
      .flatMap((line, at) =>
        words
          .filter(
            ({ no, unless, except }) =>
              no.test(line) && !(unless?.test(line) ?? false) && !(except?.test(path) ?? false),
          )
          .map(
            ({ no, say }) =>
              `${path}:${at + 1} says ${JSON.stringify(no.exec(line)?.[0].trim())}; the word is ${say}`,
          ),
      ),
  );
}

/** The files of a tree that the words are looked for in: what people read, save the changes of the past and this list. */
export function filesWithWords(top) {
  const skipped = new Set(['node_modules', 'dist', 'gen', 'bundle', '.tap', '.git', 'proto']);
  const below = (folder, into = []) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) {
        if (!skipped.has(entry.name)) below(path, into);
      } else if (entry.isFile()) into.push(path);
    }
    return into;
  };
  return below(top)
    .filter(path => /\.(?:ts|mjs|md|sh|yml|service|path|toml|cfg)$|podvm-files\/|Dockerfile$/.test(path))
    .map(path => ({ path: relative(top, path), text: readFileSync(path, 'utf8') }))
    .filter(
      ({ path }) =>
        path !== 'CHANGELOG.md' && !path.startsWith('scripts/rules/') && path !== 'test/rules.test.ts',
    );
}
