// SPDX-License-Identifier: Apache-2.0
// Reads the few parts of a CreateContainer request that the sidecars act on. Changes nothing.
import { StatusCode } from '@peerpod-tls/ttrpc/relay';
import type { Refused } from './rewrite-result.js';
import { eachOccurrence, findSingle, lastText, whole, type KnownField } from './find-field.js';
import * as known from './known-fields.js';
import type { Enclosing } from './splice.js';

/** No container has this many mounts, annotations or namespaces; a message that claims it only wants our memory. */
const MAX_ENTRIES = 65_536;

const mountColumns = [known.mount.destination, known.mount.source, known.mount.type];
const annotationColumns = [known.annotation.key, known.annotation.value];
const namespaceColumns = [known.namespace.type, known.namespace.path];

export interface CreateContainerView {
  readonly containerId: string;
  /** Whether the request has an OCI part; without one the lists are empty. */
  readonly hasOci: boolean;
  readonly hasLinux: boolean;
  readonly mounts: readonly {
    readonly destination: string;
    readonly source: string;
    readonly type: string;
  }[];
  readonly annotations: ReadonlyMap<string, string>;
  readonly namespaces: readonly { readonly type: string; readonly path: string }[];
}

/** Looks into a CreateContainer request. Refuses what cannot be read or could be read in two ways. */
export function viewCreateContainer(
  message: Uint8Array,
): { readonly t: 'view'; readonly view: CreateContainerView } | Refused {
  const containerId = lastText(message, whole(message), known.createContainer.containerId);
  if (typeof containerId !== 'string') return containerId;
  const oci = findSingle(message, whole(message), known.createContainer.oci);
  if (oci.t === 'refused') return oci;
  const mounts: { destination: string; source: string; type: string }[] = [];
  const annotations = new Map<string, string>();
  const namespaces: { type: string; path: string }[] = [];
  let hasLinux = false;
  if (oci.t === 'found') {
    const linux = findSingle(message, oci.field, known.spec.linux);
    if (linux.t === 'refused') return linux;
    hasLinux = linux.t === 'found';
    const refused =
      eachRow(
        message,
        oci.field,
        known.spec.mounts,
        mountColumns,
        ([destination = '', source = '', type = '']) => mounts.push({ destination, source, type }),
      ) ??
      eachRow(message, oci.field, known.spec.annotations, annotationColumns, ([key = '', value = '']) =>
        annotations.set(key, value),
      ) ??
      (linux.t === 'found'
        ? eachRow(message, linux.field, known.linux.namespaces, namespaceColumns, ([type = '', path = '']) =>
            namespaces.push({ type, path }),
          )
        : null);
    if (refused !== null) return refused;
  }
  return {
    t: 'view',
    view: { containerId, hasOci: oci.t === 'found', hasLinux, mounts, annotations, namespaces },
  };
}

/** Calls `take` with the texts of the named string fields, for each occurrence of `field`. */
function eachRow(
  message: Uint8Array,
  within: Enclosing,
  field: KnownField,
  columns: readonly KnownField[],
  take: (texts: readonly string[]) => void,
): Refused | null {
  let entries = 0;
  return eachOccurrence(message, within, field, entry => {
    entries += 1;
    if (entries > MAX_ENTRIES) {
      return {
        t: 'refused',
        status: StatusCode.resourceExhausted,
        reason: `${field.name} has over ${MAX_ENTRIES} entries`,
      };
    }
    const texts: string[] = [];
    for (const column of columns) {
      const text = lastText(message, entry, column);
      if (typeof text !== 'string') return text;
      texts.push(text);
    }
    take(texts);
    return null;
  });
}
