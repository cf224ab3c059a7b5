// SPDX-License-Identifier: Apache-2.0
// What is mounted in this mount namespace, read from the kernel's list, and waiting for one path to appear in it.
import { readFile } from 'node:fs/promises';
import { sleep } from '@peerpod-tls/base';

const MOUNTINFO = '/proc/self/mountinfo';

/** Mount points in the order of `/proc/self/mountinfo` (proc(5): fifth field, blanks and backslashes as octal escapes). */
export function parseMountinfo(text: string): string[] {
  const points: string[] = [];
  for (const line of text.split('\n')) {
    const point = line.split(' ')[4];
    if (point !== undefined)
      points.push(
        point.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
          String.fromCodePoint(Number.parseInt(digits, 8)),
        ),
      );
  }
  return points;
}

export interface MountWait {
  /** Milliseconds. */
  readonly timeoutMs: number;
  /** Milliseconds between looks. Default 500. */
  readonly intervalMs?: number;
  /** The kernel's list. Default `/proc/self/mountinfo`. */
  readonly mountinfo?: string;
  readonly signal: AbortSignal;
}

/**
 * True as soon as `path` is a mount point, false when the time is over.
 * @throws the signal's reason when it is aborted
 */
export async function waitForMount(path: string, wait: MountWait): Promise<boolean> {
  const { timeoutMs, intervalMs = 500, mountinfo = MOUNTINFO, signal } = wait;
  const wanted = path.length > 1 ? path.replace(/\/+$/, '') : path;
  const end = performance.now() + timeoutMs;
  for (;;) {
    signal.throwIfAborted();
    if (parseMountinfo(await readFile(mountinfo, 'utf8')).includes(wanted)) return true;
    const left = end - performance.now();
    if (left <= 0) return false;
    await sleep(Math.min(intervalMs, left), signal);
  }
}
