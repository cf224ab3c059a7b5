// SPDX-License-Identifier: Apache-2.0
// Whether the Node.js that runs us is one we trust with TLS. No imports and nothing newer than ES2020 in here: an old
// Node must be able to load this file to be told that it is too old.

/** Oldest patch we run on, per release line that ever got the fixes below. */
const FLOORS: { readonly [line: number]: readonly [number, number] } = {
  // 20.20.2 (24 March 2026) is the last release of the line. It has the fix of CVE-2026-21637 (an exception in a TLS
  // callback escapes the error handlers: a peer that is not yet authenticated ends the process, or leaks its socket).
  20: [20, 2],
  // 18 June 2026: CVE-2026-48618 (look-alike dots in a name pass the server identity check), CVE-2026-48934 (a TLS
  // session reused for another host), CVE-2026-48928 (certificate chosen by the wrong name), besides CVE-2026-21637.
  22: [23, 0],
  24: [17, 0],
  26: [3, 1],
};

const ADVICE = 'install Node.js 24 (24.17.0 or later)';

/**
 * Says in one line why this Node.js must not run our programs, or null when it may.
 *
 * @param version like `process.version`, with or without the `v`
 * @param openssl like `process.versions.openssl`; a Node.js built without it has no TLS at all
 */
export function nodeRefusal(version?: string, openssl?: string): string | null {
  const node = version === undefined ? process.version : version;
  const tls = openssl === undefined && version === undefined ? process.versions.openssl : openssl;
  const parsed = /^v?(\d+)\.(\d+)\.(\d+)/.exec(node);
  if (parsed === null) return 'cannot read the Node.js version ' + JSON.stringify(node) + '; ' + ADVICE;
  const line = Number(parsed[1]);
  const minor = Number(parsed[2]);
  const patch = Number(parsed[3]);
  const name = 'Node.js ' + line + '.' + minor + '.' + patch;

  if (line < 20) return name + ' is too old, 20.20.2 is the oldest that works; ' + ADVICE;
  if (/-(nightly|pre|rc|v8-canary|test)/.test(node))
    return name + ' is a pre-release, which gets no security fixes; ' + ADVICE;
  if (version === undefined && tls === undefined)
    return name + ' was built without OpenSSL and has no TLS; ' + ADVICE;
  const floor = FLOORS[line];
  if (floor !== undefined) {
    if (minor > floor[0] || (minor === floor[0] && patch >= floor[1])) return null;
    const cve = line === 20 ? 'CVE-2026-21637' : 'CVE-2026-48618 and CVE-2026-48934';
    return (
      name +
      ' has known holes in its TLS (' +
      cve +
      '), fixed in ' +
      line +
      '.' +
      floor[0] +
      '.' +
      floor[1] +
      '; ' +
      ADVICE
    );
  }
  // 21, 23 and 25 ended before the fixes of June 2026 came; later odd lines are ours to trust.
  if (line < 26) return name + ' ended without the TLS fixes of 2026 (CVE-2026-48618); ' + ADVICE;
  return null;
}
