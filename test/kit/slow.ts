// SPDX-License-Identifier: Apache-2.0
// Tests that wait for real time run where PEERPOD_SLOW=1 says so, and are skipped with a reason elsewhere.

export const isSlowRun = process.env['PEERPOD_SLOW'] === '1';

/** Test options: skipped unless asked for, and given the time it takes when they are. */
export const onlySlow: { readonly skip: string | false; readonly timeout: number } = {
  skip: isSlowRun ? false : 'takes long; PEERPOD_SLOW=1 runs it',
  timeout: 300_000,
};
