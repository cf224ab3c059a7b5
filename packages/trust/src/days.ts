// SPDX-License-Identifier: Apache-2.0
// Days as a person counts them: whole ones that are left.

export const DAY_MS = 86_400_000;

/** Whole days from `now` to `at`; negative once it is past. */
export function daysUntil(at: Date, now: number = Date.now()): number {
  return Math.floor((at.getTime() - now) / DAY_MS);
}
