// SPDX-License-Identifier: Apache-2.0
// Every name a package's entry hands on is imported by another package, or by a test or bench outside of it: a public
// list is a promise to somebody. A type that nobody imports counts as used where a file with a used name speaks of it.

const namesOf = (list, allTypes) =>
  list
    .split(',')
    .map(item => item.trim())
    .filter(item => item !== '')
    .map(item => {
      const [name, alias = name] = item.replace(/^type\s+/, '').split(/\s+as\s+/);
      return { name, alias, isType: allTypes || item.startsWith('type ') };
    });

/** Kept for who builds on a package without being in this repository. */
const meant = new Set([
  // The protocol has four kinds of calls, and our services need two.
  '@peerpod-tls/ttrpc clientStream',
  '@peerpod-tls/ttrpc serverStream',
]);

/**
 * Complaints about one tree.
 * @param {ReturnType<import('./tree.mjs').readTree>} tree
 * @returns {string[]}
 */
export function publicNames({ sources, tests, resolve }) {
  const used = new Set();
  for (const { path, package: home, code } of [...sources, ...tests]) {
    const outside = target =>
      target !== undefined && !(path.startsWith('packages/') && target.startsWith(`packages/${home}/`));
    for (const [, , list, specifier] of code.matchAll(
      /^(?:import|export) (type )?\{([^}]*)\} from '([^']+)'/gm,
    )) {
      const target = resolve(specifier, path);
      if (outside(target)) for (const { name } of namesOf(list, false)) used.add(`${target} ${name}`);
    }
    for (const [, specifier] of code.matchAll(/\bimport\('([^']+)'\)/g)) {
      const target = resolve(specifier, path);
      if (outside(target)) used.add(`${target} *`);
    }
  }
  const textOf = new Map(sources.map(({ path, code }) => [path, code]));
  return sources
    .filter(({ path }) => /^packages\/[^/]+\/src\/index\.ts$/.test(path))
    .flatMap(({ path, package: home, code }) => {
      const handedOn = [...code.matchAll(/^export (type )?\{([^}]*)\}(?: from '([^']+)')?/gm)].flatMap(
        ([, type, list, specifier]) =>
          namesOf(list, type !== undefined).map(({ name, alias, isType }) => ({
            name,
            alias,
            isType,
            file: specifier === undefined ? path : resolve(specifier, path),
          })),
      );
      const isUsed = name => used.has(`${path} ${name}`) || used.has(`${path} *`);
      const speaking = [...new Set(handedOn.filter(({ alias }) => isUsed(alias)).map(({ file }) => file))]
        .map(file => textOf.get(file) ?? '')
        .join('\n');
      return handedOn
        .filter(
          ({ alias, name, isType }) =>
            !isUsed(alias) &&
            !meant.has(`@peerpod-tls/${home} ${alias}`) &&
            !(isType && new RegExp(`\\b${name}\\b`).test(speaking)),
        )
        .map(({ alias }) => `${path} hands on ${alias}, which nothing outside of ${home} imports`);
    });
}
