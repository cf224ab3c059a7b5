// SPDX-License-Identifier: Apache-2.0
// The files that initdata becomes in a guest: itself, its digest, and those of its entries that a guest takes. Pure; where
// the initdata was found is the caller's affair.
import { posix } from 'node:path';
import type { UserDataFile } from './cloud-config.js';
import { UserDataError } from './errors.js';
import { GUEST_PATHS, INITDATA_PATHS } from './guest-paths.js';
import { EMPTY_INITDATA, parseInitdata, renderInitdata, unpackInitdata, type Initdata } from './initdata.js';

export interface InitdataFiles {
  readonly initdata: Initdata;
  /** Nobody brought any: the empty one stands in. */
  readonly standIn: boolean;
  /** In no particular order. */
  readonly files: readonly UserDataFile[];
  /** Entries that no guest takes, left out. */
  readonly unknownEntries: readonly string[];
  /** There is no `aa.toml` in it, so an empty one was added. */
  readonly withoutAa: boolean;
}

/**
 * Takes initdata apart, or the empty one when there is none.
 *
 * The units of a guest start when `aa.toml` appears. Initdata without one would leave the boot waiting for ever, with no
 * reason anywhere, so an empty one goes with it, which is what a pod without initdata has. The digest is not changed by it.
 *
 * @throws UserDataError of {@link unpackInitdata} and {@link parseInitdata}; `ERR_USER_DATA_PATH` when two entries are
 * the same file
 */
export function initdataFiles(packed: string | null): InitdataFiles {
  const toml = packed === null ? Buffer.from(EMPTY_INITDATA) : unpackInitdata(packed);
  // A second run finds what the first has written.
  const standIn = packed === null || toml.equals(Buffer.from(EMPTY_INITDATA));
  const initdata = parseInitdata(toml);
  const files = new Map<string, string>();
  const unknownEntries: string[] = [];
  for (const [name, content] of initdata.entries) {
    const path = posix.join(posix.dirname(GUEST_PATHS.initdata), name);
    if (!INITDATA_PATHS.includes(path)) unknownEntries.push(name);
    else if (files.has(path))
      throw new UserDataError('ERR_USER_DATA_PATH', `the initdata has two entries for ${path}`);
    else files.set(path, content);
  }
  const withoutAa = !files.has(GUEST_PATHS.aa);
  if (withoutAa) files.set(GUEST_PATHS.aa, '');
  files.set(GUEST_PATHS.digest, initdata.digest);
  files.set(GUEST_PATHS.initdata, packed ?? renderInitdata(EMPTY_INITDATA));
  return {
    initdata,
    standIn,
    files: [...files].map(([path, content]) => ({ path, content })),
    unknownEntries,
    withoutAa,
  };
}
