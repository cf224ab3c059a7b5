// SPDX-License-Identifier: Apache-2.0
// What looks at the kernel's table say of the other end of a link: that its network swallows packets, or that it has
// gone while nobody reads. Rules over plain values: no sockets, no timers.
import type { TcpEntry } from './tcp-table.js';

/** How long a socket has been without acknowledgement, as far as looks at the table have shown. */
export interface Silence {
  readonly ms: number;
  /** When it was looked at last, by `performance.now()`. */
  readonly at: number;
  /** Vain tries of the kernel at the first look and at the last. */
  readonly firstTries: number;
  readonly retransmits: number;
  readonly probes: number;
}

/**
 * What a look adds to what was known; null when the other end has acknowledged, or owes nothing. The kernel counts its
 * tries from the last acknowledgement on and doubles the time between them, so a count that did not fall between two
 * looks was not begun anew. `longestMs` is what a pause between looks may count for: a machine that was suspended
 * has not been listening.
 */
export function silenceAfter(
  before: Silence | null,
  { unacknowledged, retransmits, probes }: TcpEntry,
  at: number,
  longestMs: number,
): Silence | null {
  if (unacknowledged === 0 || retransmits + probes === 0) return null;
  if (before === null || retransmits < before.retransmits || probes < before.probes)
    return { ms: 0, at, firstTries: retransmits + probes, retransmits, probes };
  return { ...before, ms: before.ms + Math.min(at - before.at, longestMs), at, retransmits, probes };
}

/**
 * Whether that is enough to give the link up. The tries must have become more while we looked: against a window that a
 * living peer closed late the count stays where it was.
 */
export function isStalled(silence: Silence, stallMs: number): boolean {
  return silence.ms >= stallMs && silence.retransmits + silence.probes > silence.firstTries;
}

/** What looks at a socket that nobody reads have shown of its other end's leaving. */
export interface Parting {
  /** For how long the other end is known to have ended its side. */
  readonly ms: number;
  readonly at: number;
  /** Looks in a row that did not find the socket. */
  readonly missed: number;
}

/** A socket slips through a look now and then, while the table changes under it; not so often in a row. */
const MISSED_LOOKS = 3;

/** What a look adds; null when the other end is there. `entry` is undefined for a socket that was not found. */
export function partingAfter(
  before: Parting | null,
  entry: TcpEntry | undefined,
  at: number,
  longestMs: number,
): Parting | null {
  if (entry === undefined) return { ms: before?.ms ?? 0, at, missed: (before?.missed ?? 0) + 1 };
  if (!entry.parted) return null;
  const ms = before === null ? 0 : before.ms + Math.min(at - before.at, longestMs);
  return { ms, at, missed: 0 };
}

/**
 * Whether the other end is gone for good: the connection was reset, or it has said its last word and nobody has read
 * that for `heldMs`. Null when it may still be there.
 */
export function partedBy({ ms, missed }: Parting, heldMs: number): 'reset' | 'ended' | null {
  if (missed >= MISSED_LOOKS) return 'reset';
  return ms >= heldMs ? 'ended' : null;
}
