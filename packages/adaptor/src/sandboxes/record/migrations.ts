// SPDX-License-Identifier: Apache-2.0
// From the records of older adaptors to today's, one version at a time. Text and checks are elsewhere. A step moves what
// it knows and hands on the rest, so that no field is lost on the way.

/** Raise it, and add a step, when a field moves or changes its meaning; a field more needs neither. */
export const RECORD_VERSION = 2;

export type RawRecord = Readonly<Record<string, unknown>>;

const STEPS: Readonly<Record<number, (record: RawRecord) => RawRecord>> = {
  // What the shim asked for was called `wish`; the first records had what a link needs beside it, and no port.
  1: ({ wish, serverName, tls, ...rest }) => ({
    ...rest,
    spec: rest['spec'] ?? wish,
    link: rest['link'] ?? { tls, serverName },
  }),
};

/** The version a record says it has, or the one its fields tell where it says none. */
export function versionOf(record: RawRecord): number {
  const { version } = record;
  if (typeof version === 'number' && Number.isSafeInteger(version) && version >= 1) return version;
  return 'wish' in record ? 1 : RECORD_VERSION;
}

/** A record as an adaptor of this version would have written it. One of a later version comes back as it is. */
export function migrate(record: RawRecord): RawRecord {
  let current = record;
  for (let at = versionOf(record); at < RECORD_VERSION; at += 1) current = STEPS[at]?.(current) ?? current;
  return current;
}
