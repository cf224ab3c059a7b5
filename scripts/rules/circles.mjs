// SPDX-License-Identifier: Apache-2.0
// No file may import itself by way of others: values and types alike, within a package and across packages.

const imports = code =>
  [...code.matchAll(/(?:\bfrom|\bimport|\bimport\()\s*['"]([^'"\s]+)['"]/g)].map(match => match[1]);

/**
 * Complaints about one tree, a circle each, told as the way round.
 * @param {ReturnType<import('./tree.mjs').readTree>} tree
 * @returns {string[]}
 */
export function importCircles({ sources, resolve }) {
  const edges = new Map(
    sources.map(({ path, code }) => [
      path,
      [...new Set(imports(code).map(specifier => resolve(specifier, path)))].filter(
        target => target !== undefined && target !== path,
      ),
    ]),
  );
  const done = new Set();
  const said = [];
  /** Depth first; `way` is how we came here, so a file met again on it closes a circle. */
  const visit = (file, way) => {
    const at = way.indexOf(file);
    if (at !== -1) {
      said.push(`import circle: ${[...way.slice(at), file].join(' -> ')}`);
      return;
    }
    if (done.has(file)) return;
    for (const next of edges.get(file) ?? []) visit(next, [...way, file]);
    done.add(file);
  };
  for (const file of edges.keys()) visit(file, []);
  return said;
}
