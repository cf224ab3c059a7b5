// SPDX-License-Identifier: Apache-2.0
// Numbers and times in the form a person reads. Pure functions: the present moment is an argument.

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A number of bytes in decimal units: `812 B`, `12.3 kB`, `4.0 MB`. */
export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = count;
  let unit = 0;
  // 999.95 would be rounded up to "1000.0".
  while (unit < units.length - 1 && value >= (unit === 0 ? 1000 : 999.95)) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? String(Math.round(value)) : value.toFixed(1)} ${units[unit]}`;
}

/** A time span of work, from milliseconds: `0.84 ms`, `12 ms`, `1.24 s`, `3 min 20 s`. */
export function span(ms: number): string {
  if (!Number.isFinite(ms)) return '-';
  if (ms < 9.995) return `${ms.toFixed(2)} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 9.995 * SECOND) return `${(ms / SECOND).toFixed(2)} s`;
  if (ms < 59.95 * SECOND) return `${(ms / SECOND).toFixed(1)} s`;
  const seconds = Math.round(ms / SECOND);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

/** Time since a beginning, at most seven columns wide for eleven days: `417 ms`, `1.24 s`, `12345 s`. */
export function elapsed(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  const digits = ms < 9.995 * SECOND ? 2 : ms < 999.95 * SECOND ? 1 : 0;
  return `${(ms / SECOND).toFixed(digits)} s`;
}

/** The largest unit that still says something about a long time: `42 seconds`, `3 hours`, `29 days`. */
export function roughly(ms: number): string {
  const away = Math.abs(ms);
  if (away < 2 * MINUTE) return count(Math.round(away / SECOND), 'second');
  if (away < 2 * HOUR) return count(Math.round(away / MINUTE), 'minute');
  if (away < 2 * DAY) return count(Math.round(away / HOUR), 'hour');
  return count(Math.round(away / DAY), 'day');
}

/** A moment relative to another: `in 29 days`, `3 hours ago`. */
export function relative(moment: Date, now: Date): string {
  const ms = moment.getTime() - now.getTime();
  return ms >= 0 ? `in ${roughly(ms)}` : `${roughly(ms)} ago`;
}

/** A moment in UTC without fractions: `2026-11-21 08:55:24 UTC`. */
export function moment(date: Date): string {
  if (Number.isNaN(date.getTime())) return 'unreadable date';
  return `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** A clock that counts up: `0:42`, `12:07`, `3:00:09`. */
export function clock(ms: number): string {
  const total = Math.floor(ms / SECOND);
  const two = (n: number) => String(n).padStart(2, '0');
  const h = Math.floor(total / 3600);
  const m = Math.floor((total % 3600) / 60);
  return h > 0 ? `${h}:${two(m)}:${two(total % 60)}` : `${m}:${two(total % 60)}`;
}

/** A count with its noun: `1 day`, `2 days`. */
export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}

/** The beginning of a fingerprint, enough to compare by eye, in lower case without separators: `3fa91c0be2d4…`. */
export function shortFingerprint(fingerprint: string, ellipsis = '…'): string {
  const hex = fingerprint.replaceAll(/[^0-9a-f]/giu, '').toLowerCase();
  return hex.length > 16 ? `${hex.slice(0, 16)}${ellipsis}` : hex;
}
