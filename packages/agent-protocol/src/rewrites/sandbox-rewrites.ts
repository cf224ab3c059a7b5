// SPDX-License-Identifier: Apache-2.0
// The one rewrite of a CreateSandbox request. Pure: bytes in, bytes out.
import { replaced, same, type RewriteResult } from './rewrite-result.js';
import { eachOccurrence, whole } from './find-field.js';
import * as known from './known-fields.js';
import { splice, type Patch } from './splice.js';

const NOTHING = new Uint8Array(0);

/** Takes the worker node's resolv.conf lines out: the pod VM has a resolver of its own and the node's is out of its reach. */
export function withoutSandboxDns(message: Uint8Array): RewriteResult {
  const patches: Patch[] = [];
  const refused = eachOccurrence(message, whole(message), known.createSandbox.dns, line => {
    patches.push({ start: line.start, end: line.end, bytes: NOTHING });
    return null;
  });
  if (refused !== null) return refused;
  return patches.length === 0 ? same : replaced(splice(message, [], patches));
}
