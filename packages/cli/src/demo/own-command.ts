// SPDX-License-Identifier: Apache-2.0
// How a person starts this very program again from any directory. Looks at files, starts nothing.
import { realpathSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** `peerpod` where that is what the PATH leads to, and node with the file's path otherwise. */
export function ownCommand(script: string | undefined, env: NodeJS.ProcessEnv): string {
  const own = real(script ?? '');
  const onPath = (env['PATH'] ?? '')
    .split(delimiter)
    .filter(dir => dir.startsWith('/'))
    .map(dir => real(join(dir, 'peerpod')))
    .find(file => file !== '');
  if (own === '' || own === onPath) return 'peerpod';
  return `node ${/^[\w@%+=:,./-]+$/u.test(own) ? own : `'${own.replaceAll("'", String.raw`'\''`)}'`}`;
}

function real(path: string): string {
  try {
    return path === '' ? '' : realpathSync(path);
  } catch {
    return '';
  }
}
