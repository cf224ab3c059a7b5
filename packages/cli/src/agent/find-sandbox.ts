// SPDX-License-Identifier: Apache-2.0
// Which sandbox a person means: its id, the beginning of one, or its pod. Asks the adaptor; opens no agent's socket.
import { CliError } from '../errors.js';
import { type SandboxRow, readSandboxes } from '../status/endpoint.js';
import { printable } from '../terminal/text.js';

/** The path of the agent's socket of a sandbox. */
export async function socketOf(word: string, address: string): Promise<string> {
  const { rows } = await readSandboxes(address);
  return findSandbox(word, rows).socket;
}

/** The one sandbox that is meant: an id before a pod, a pod before the beginning of an id. @throws CliError */
export function findSandbox(word: string, rows: readonly SandboxRow[]): SandboxRow {
  const ways: readonly ((row: SandboxRow) => boolean)[] = [
    row => row.id === word,
    row => row.pod === word || `${row.namespace}/${row.pod}` === word,
    row => row.id.startsWith(word),
  ];
  for (const fits of ways) {
    const [found, ...others] = rows.filter(fits);
    if (found === undefined) continue;
    if (others.length === 0) return found;
    const ids = [found, ...others].map(({ id }) => printable(id)).join(', ');
    throw new CliError('ERR_CLI_NO_SANDBOX', `${JSON.stringify(word)} means several sandboxes: ${ids}`, {
      hint: 'name one of them by its id',
    });
  }
  throw new CliError('ERR_CLI_NO_SANDBOX', `no sandbox has the id or pod ${JSON.stringify(word)}`, {
    hint: rows.length === 0 ? 'the adaptor has no sandboxes' : 'peerpod ps lists them',
  });
}
