// SPDX-License-Identifier: Apache-2.0
// Reads from a TAP stream (https://testanything.org, version 14 with subtests by indentation) what failed.

/**
 * A line per failed assertion: `file > test > assertion`. A test that failed although none of its assertions did (a time
 * limit, an uncaught error) counts as one itself; what is marked `# TODO` or `# SKIP` does not count.
 * @param {string} tap
 */
export function failures(tap) {
  const found = [];
  // Names of the tests around a line, and how many failures were found when each began.
  const around = [];
  // What ends the diagnostics that are being read; they may hold lines that look like TAP.
  let diagnosticsEnd;
  for (const line of tap.split('\n')) {
    if (diagnosticsEnd !== undefined) {
      if (line === diagnosticsEnd) diagnosticsEnd = undefined;
      continue;
    }
    const diagnostics = /^((?: {4})* {2})---$/.exec(line);
    if (diagnostics) {
      diagnosticsEnd = `${diagnostics[1]}...`;
      continue;
    }
    const subtest = /^((?: {4})*)# Subtest: (.*)$/.exec(line);
    if (subtest) {
      const depth = subtest[1].length / 4;
      around.length = Math.min(around.length, depth);
      around.push({ name: subtest[2], begun: found.length });
      continue;
    }
    const failed = /^((?: {4})*)not ok(?: \d+)?(?: - )?(.*?)(?: # time=\S+)?$/.exec(line);
    if (!failed || / # (?:TODO|SKIP)\b/i.test(line)) continue;
    const depth = failed[1].length / 4;
    const own = around[depth];
    // The closing line of a test whose failures are listed already.
    if (own?.name === failed[2] && found.length > own.begun) continue;
    found.push([...around.slice(0, depth).map(test => test.name), failed[2]].join(' > '));
  }
  return found;
}
