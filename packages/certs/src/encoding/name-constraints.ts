// SPDX-License-Identifier: Apache-2.0
// The DNS subtrees of a nameConstraints extension (RFC 5280 section 4.2.1.10). Nothing is decided by them here.
import { childrenOf, contentOf, isContext, Tag, type DerNode } from './der.js';
import { showOctets } from './names.js';

/** The DNS subtrees of a nameConstraints extension. */
export interface NameConstraints {
  readonly permitted: readonly string[];
  readonly excluded: readonly string[];
}

export function readNameConstraints(node: DerNode): NameConstraints {
  const parts = childrenOf(node, Tag.sequence, { max: 2 });
  const trees = (n: number): string[] => {
    const part = parts.find(item => isContext(item, n));
    if (part === undefined) return [];
    return childrenOf(part, n, { kind: 'context' }).flatMap(tree => {
      const [base] = childrenOf(tree, Tag.sequence, { min: 1, max: 3 });
      return isContext(base, 2) ? [showOctets(contentOf(base, 2, 'context'))] : [];
    });
  };
  return { permitted: trees(0), excluded: trees(1) };
}
