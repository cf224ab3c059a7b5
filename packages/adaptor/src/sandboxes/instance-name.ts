// SPDX-License-Identifier: Apache-2.0
// The name of a pod VM: what its server certificate says, what the adaptor expects of the peer, what a cloud shows.
import { createHash } from 'node:crypto';

const PREFIX = 'podvm-';
const ID_LENGTH = 8;
/** Prefix, hyphen and eight characters of the id, without any of the pod's name: nothing shorter can be told apart. */
const SHORTEST_NAME = PREFIX.length + 1 + ID_LENGTH;
/** Longest DNS label (RFC 1035 section 2.3.4); the name is also the SAN of the certificate. */
const LONGEST_LABEL = 63;

/** Lower case, and every character outside `a-z0-9-` a hyphen. */
function sanitize(text: string): string {
  return Array.from(text.toLowerCase(), character => (/^[a-z0-9-]$/.test(character) ? character : '-')).join(
    '',
  );
}

/**
 * `podvm-<pod>-<first 8 of the id>`, the pod's name cut so that the whole has at most `max` characters.
 * A `max` of 0 or less cuts nothing; one below `SHORTEST_NAME` is taken as `SHORTEST_NAME`.
 */
export function instanceName(pod: string, sandbox: string, max: number = LONGEST_LABEL): string {
  // No DNS label ends with a hyphen (RFC 1123 section 2.1), so none of the id's may stand at the end.
  return joinName(sanitize(pod), sanitize(sandbox).slice(0, ID_LENGTH).replace(/-+$/, ''), max);
}

/**
 * The name to take when another live sandbox already holds the plain one (two ids that begin alike, or one pod name in
 * two namespaces): the id's digest stands for its first characters, so that every VM has a name of its own.
 */
export function distinctInstanceName(pod: string, sandbox: string, max: number = LONGEST_LABEL): string {
  return joinName(sanitize(pod), createHash('sha256').update(sandbox).digest('hex').slice(0, ID_LENGTH), max);
}

function joinName(pod: string, id: string, max: number): string {
  if (max <= 0) return `${PREFIX}${pod}-${id}`;
  const room = Math.max(max, SHORTEST_NAME) - PREFIX.length - 1 - ID_LENGTH;
  return `${PREFIX}${pod.slice(0, room)}-${id}`;
}

/** The name of a new sandbox's VM, which no other one has. */
export function freeInstanceName(pod: string, sandbox: string, taken: ReadonlySet<string>): string {
  const plain = instanceName(pod, sandbox);
  return taken.has(plain) ? distinctInstanceName(pod, sandbox) : plain;
}
