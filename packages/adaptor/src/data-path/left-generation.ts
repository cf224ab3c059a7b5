// SPDX-License-Identifier: Apache-2.0
// The directory of a generation whose proxy is dead: what it left to be done, and the end of the directory.
import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { codeOf } from '@peerpod-tls/base';
import { isSandboxId, proxyFiles } from '@peerpod-tls/proxy/control';

const SUFFIX = '.json';

export interface LeftWork {
  /** Sandboxes whose StopVM was taken and not carried out. */
  readonly stops: readonly string[];
  /** Sandboxes whose sockets were open. */
  readonly sandboxes: readonly string[];
}

export async function leftWork(directory: string): Promise<LeftWork> {
  const files = proxyFiles(directory);
  return { stops: await idsIn(files.stops), sandboxes: await idsIn(files.sandboxes) };
}

async function idsIn(directory: string): Promise<readonly string[]> {
  try {
    return (await readdir(directory))
      .filter(name => name.endsWith(SUFFIX))
      .map(name => name.slice(0, -SUFFIX.length))
      .filter(isSandboxId);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

export async function removeGeneration(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true });
}

/** Names of generations that have a directory below this one. */
export async function generationsIn(directory: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true });
    return entries.flatMap(entry => (entry.isDirectory() ? [entry.name] : [])).toSorted();
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

export const generationDirectory = (stateDir: string, generation: string): string =>
  path.join(stateDir, 'proxy', generation);
