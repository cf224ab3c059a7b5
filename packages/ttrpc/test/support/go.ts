// SPDX-License-Identifier: Apache-2.0
// Builds the Go program of the interop tests into a temporary directory, or says why it cannot be had.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export type GoBuild = { readonly program: string; remove(): void } | { readonly reason: string };

export function buildGo(): GoBuild {
  const version = spawnSync('go', ['version'], { encoding: 'utf8' });
  if (version.error !== undefined) return { reason: 'go is not installed' };
  const directory = mkdtempSync(join(tmpdir(), 'ttrpc-go-'));
  const remove = (): void => rmSync(directory, { recursive: true, force: true });
  const program = join(directory, 'interop');
  const source = fileURLToPath(new URL('../interop/', import.meta.url));
  // First only what is needed from the network, so that a machine without one is told from a broken program.
  const fetched = spawnSync('go', ['mod', 'download'], { cwd: source, encoding: 'utf8', timeout: 50_000 });
  if (fetched.status !== 0) {
    remove();
    return {
      reason: `the Go modules cannot be fetched: ${fetched.stderr.trim().split('\n')[0] ?? 'timed out'}`,
    };
  }
  const built = spawnSync('go', ['build', '-o', program, '.'], { cwd: source, encoding: 'utf8' });
  if (built.status !== 0) throw new Error(`the Go program does not build: ${built.stderr}`);
  return { program, remove };
}
