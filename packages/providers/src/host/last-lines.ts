// SPDX-License-Identifier: Apache-2.0
// The end of a console log, whoever wrote it.
import { open } from 'node:fs/promises';

/** The last lines of a console log, at most `count` and 16 KiB; empty when there is none. */
export async function lastLines(path: string, count: number): Promise<string> {
  const file = await open(path, 'r').catch(() => null);
  if (file === null) return '';
  try {
    const { size } = await file.stat();
    const length = Math.min(size, 16_384);
    const { buffer } = await file.read(Buffer.alloc(length), 0, length, size - length);
    return buffer.toString('utf8').trimEnd().split('\n').slice(-count).join('\n');
  } finally {
    await file.close();
  }
}
