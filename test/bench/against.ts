// SPDX-License-Identifier: Apache-2.0
// Another commit of this project as it was: a worktree in a temporary folder, installed and bundled there by its own
// scripts. Made once per run; `remove` leaves no trace in the repository.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ownRoot } from './ours.js';
import type { Programs } from './processes.js';

export interface Checkout {
  readonly root: string;
  /** Its short name. */
  readonly commit: string;
}

/** The short name of a commit; null when the repository has none of that name. */
export function commitOf(name: string): string | null {
  const asked = spawnSync('git', ['rev-parse', '--verify', '--quiet', '--short', `${name}^{commit}`], {
    cwd: ownRoot,
    encoding: 'utf8',
  });
  return asked.status === 0 ? asked.stdout.trim() : null;
}

/** Builds a commit beside this checkout. `onRemove` gets what undoes it, before anything is done. */
export async function buildCommit(
  programs: Programs,
  commit: string,
  onRemove: (remove: () => void) => void,
): Promise<Checkout> {
  const folder = mkdtempSync(join(tmpdir(), 'pp-bench-before-'));
  const root = join(folder, 'checkout');
  onRemove(() => {
    spawnSync('git', ['worktree', 'remove', '--force', root], { cwd: ownRoot, stdio: 'ignore' });
    rmSync(folder, { recursive: true, force: true });
    spawnSync('git', ['worktree', 'prune'], { cwd: ownRoot, stdio: 'ignore' });
  });
  await programs.run('git', ['worktree', 'add', '--quiet', '--detach', root, commit], ownRoot);
  await programs.run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], root);
  await programs.run(process.execPath, ['scripts/bundle.mjs'], root);
  return { root, commit };
}
