// SPDX-License-Identifier: Apache-2.0
// Which names of a leaf lie outside of what a CA above it may name (RFC 5280 section 4.2.1.10), for the words of a
// refusal. Whether a name is allowed is decided by OpenSSL; only a wildcard that stands for an excluded name, which
// OpenSSL compares as text, is decided here.
import type { X509Certificate } from 'node:crypto';
import { nameCertificate } from '../describe.js';
import { factsOf, type CertificateFacts } from './facts.js';

/** `: podvm-server is not among the names that O=x (…) may certify`, or the names of the leaf where none stands out. */
export function namesOutside(path: readonly X509Certificate[]): string {
  const [leaf, ...above] = path;
  if (leaf === undefined) return '';
  const { dnsNames, addresses, otherNames } = factsOf(leaf);
  for (const ca of above) {
    const outside = dnsNames.find(name => !allowed(factsOf(ca), name));
    if (outside !== undefined)
      return `: ${outside} is not among the names that ${nameCertificate(ca)} may certify`;
  }
  const limited: X509Certificate | undefined = above.find(ca => factsOf(ca).nameConstraints !== null);
  const names = [...dnsNames, ...addresses, ...otherNames].slice(0, 5).join(', ');
  const by = limited === undefined ? '' : `, by ${nameCertificate(limited)}`;
  return ` (its names are ${names === '' ? 'those of its subject' : names}${by})`;
}

/** What is wrong with a wildcard of the leaf that can be dialled as a name from which a CA above it is kept. */
export function wildcardFault(path: readonly X509Certificate[]): string | null {
  const [leaf, ...above] = path;
  if (leaf === undefined) return null;
  for (const name of factsOf(leaf).dnsNames) {
    for (const ca of above) {
      const tree = factsOf(ca).nameConstraints?.excluded.find(excluded => standsFor(name, excluded));
      if (tree !== undefined)
        return `has the name ${name}, which stands for ${tree} too, and ${nameCertificate(ca)} may not certify that`;
    }
  }
  return null;
}

function allowed({ nameConstraints }: CertificateFacts, name: string): boolean {
  if (nameConstraints === null) return true;
  const { permitted, excluded } = nameConstraints;
  return (
    (permitted.length === 0 || permitted.some(tree => within(name, tree))) &&
    !excluded.some(tree => within(name, tree) || standsFor(name, tree))
  );
}

/** A wildcard stands for every name that has one label in its place. */
function standsFor(name: string, tree: string): boolean {
  if (!name.startsWith('*.')) return false;
  const [, ...rest] = tree.toLowerCase().replace(/^\./, '').split('.');
  return rest.join('.') === name.slice(2).toLowerCase();
}

/** A subtree is the name itself and everything below it. */
function within(name: string, tree: string): boolean {
  const [n, t] = [name.toLowerCase(), tree.toLowerCase().replace(/^\./, '')];
  return t === '' || n === t || n.endsWith(`.${t}`);
}
