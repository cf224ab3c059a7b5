// SPDX-License-Identifier: Apache-2.0
// Where files of the user-data live in a pod VM, and which of them user-data may write. Upstream's paths, exactly.

/** Paths in the guest that both sidecars know. */
export const GUEST_PATHS = {
  /** The forwarder's configuration. */
  apf: '/run/peerpod/apf.json',
  /** Registry credentials. */
  auth: '/run/peerpod/auth.json',
  /** Configuration of the attestation agent; its appearance starts the chain of units. */
  aa: '/run/peerpod/aa.toml',
  /** Configuration of the confidential data hub. */
  cdh: '/run/peerpod/cdh.toml',
  initdata: '/run/peerpod/initdata',
  digest: '/run/peerpod/initdata.digest',
  policy: '/run/peerpod/policy.rego',
  /** Its presence asks for scratch space. */
  scratchSpace: '/run/peerpod/scratch-space.marker',
} as const;

/** What user-data may write, by equality of the whole path. Anything else in it is reported and left out. */
export const USER_DATA_PATHS: readonly string[] = [
  GUEST_PATHS.aa,
  GUEST_PATHS.cdh,
  GUEST_PATHS.apf,
  GUEST_PATHS.auth,
  GUEST_PATHS.initdata,
  GUEST_PATHS.scratchSpace,
];

/** What an entry of initdata may become. */
export const INITDATA_PATHS: readonly string[] = [GUEST_PATHS.aa, GUEST_PATHS.cdh, GUEST_PATHS.policy];

/** Where providers that hand over a file or a seed disk put the user-data. */
export const SEED_FILE = '/media/cidata/user-data';
