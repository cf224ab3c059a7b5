// SPDX-License-Identifier: Apache-2.0
// Every error code is raised by a source and held by a test. A code is declared as a member of a union of a package's
// errors; raised where another line of a source names it; tested where a test names it, also by a pattern that fits.

const declared = /^\s*\|\s*'(ERR_[A-Z0-9_]+)';?$|=\s*'(ERR_[A-Z0-9_]+)';$/gm;

/**
 * Complaints about one tree.
 * @param {ReturnType<import('./tree.mjs').readTree>} tree
 * @returns {string[]}
 */
export function errorCodes({ sources, tests }) {
  const where = new Map();
  const rest = [];
  for (const { path, code } of sources) {
    for (const [, a, b] of code.matchAll(declared)) if (!where.has(a ?? b)) where.set(a ?? b, path);
    rest.push(code.replace(declared, ''));
  }
  const raising = rest.join('\n');
  const testing = tests.map(({ code }) => code).join('\n');
  const names = (text, code) => new RegExp(`\\b${code}\\b`).test(text);
  const said = [];
  for (const [code, path] of where) {
    if (!names(raising, code)) said.push(`${path} declares ${code}, which nothing raises`);
    if (!names(testing, code)) said.push(`${path} declares ${code}, which no test names`);
  }
  return said;
}
