// SPDX-License-Identifier: Apache-2.0
// `peerpod orphans`: instances of an adaptor that belong to no sandbox, and sandboxes that no shim uses any more. Looking
// goes through the status endpoint, which changes nothing; deleting through the hypervisor socket, which only the
// adaptor's own user can open.
import { operatorService } from '@peerpod-tls/agent-protocol';
import { clientOf, type TypedClient } from '@peerpod-tls/ttrpc';
import type { Line } from '../command.js';
import { ExitCode, type Io } from '../io.js';
import { messageOf } from '@peerpod-tls/base';
import { report } from '../report.js';
import { callError } from '../shim/call-error.js';
import { connectHypervisor } from '../shim/pod.js';
import {
  type OrphanList,
  type OrphanRow,
  type SandboxRow,
  readOrphans,
  readSandboxes,
} from '../status/endpoint.js';
import { roughly } from '../terminal/format.js';
import type { Style } from '../terminal/style.js';
import { tableOf } from '../terminal/table.js';
import { printable } from '../terminal/text.js';

/** A cloud may take minutes to delete a machine. */
const DELETE_TIMEOUT_MS = 600_000;
const LIST_TIMEOUT_MS = 60_000;

export interface OrphansValues {
  readonly address: string;
  readonly socket: string;
  readonly fresh: boolean;
  readonly quiet: boolean;
  readonly json: boolean;
}

export async function orphans({ values, out }: Line<OrphansValues>, io: Io): Promise<number> {
  const { address, socket, fresh, quiet, json } = values;
  const found = fresh ? await searchNow(socket) : await readOrphans(address);
  let sandboxes: readonly Shimless[] | null = null;
  try {
    sandboxes = shimless((await readSandboxes(address)).rows);
  } catch (error) {
    // The instances are worth telling without them.
    io.stderr.write(`sandboxes without a shim were not looked for: ${printable(messageOf(error))}\n`);
  }
  return list({ ...found, sandboxes }, { quiet, json }, out, io);
}

/** A running sandbox that the adaptor says no shim uses any more: nobody else will ever end it. */
interface Shimless {
  readonly id: string;
  readonly pod: string;
  readonly namespace: string;
  /** Since when no shim has been connected. */
  readonly since: Date | null;
}

const shimless = (rows: readonly SandboxRow[]): Shimless[] =>
  rows.flatMap(({ id, pod, namespace, shim }) =>
    shim?.state === 'gone' ? [{ id, pod, namespace, since: shim.lastClosedAt ?? shim.openedAt }] : [],
  );

export async function deleteOrphans(
  { values, words }: Line<{ readonly socket: string; readonly json: boolean }>,
  io: Io,
): Promise<number> {
  return deleteAll(values.socket, words, values.json, io);
}

function list(
  found: OrphanList & { readonly sandboxes: readonly Shimless[] | null },
  how: { readonly quiet: boolean; readonly json: boolean },
  style: Style,
  io: Io,
): number {
  if (how.json) io.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
  else if (how.quiet) io.stdout.write(found.orphans.map(({ id }) => `${printable(id)}\n`).join(''));
  else if (found.orphans.length > 0) {
    const width = io.stdout.isTTY === true ? io.stdout.columns : undefined;
    io.stdout.write(`${orphanTable(found.orphans, style, width).join('\n')}\n`);
  }
  if (how.json) return ExitCode.ok;
  if (!how.quiet && found.sandboxes !== null && found.sandboxes.length > 0) {
    const heading = ['SANDBOX', 'POD', 'NO SHIM FOR'].map(style.dim);
    const body = found.sandboxes.map(({ id, pod, namespace, since }) => [
      printable(id),
      printable(`${namespace}/${pod}`),
      since === null ? '' : roughly(Date.now() - since.getTime()),
    ]);
    io.stdout.write(
      `${tableOf([heading, ...body], 2, io.stdout.isTTY === true ? io.stdout.columns : undefined).join('\n')}\n`,
    );
    io.stderr.write('peerpod stop ID deletes such a sandbox with its VM\n');
  }
  if (found.checkedAt === null) io.stderr.write('the adaptor has not looked at its platform yet\n');
  else if (found.orphans.length === 0 && (found.sandboxes ?? []).length === 0)
    io.stderr.write('no orphans\n');
  if (found.error !== '') {
    const age =
      found.checkedAt === null ? '' : `; this is ${roughly(Date.now() - found.checkedAt.getTime())} old`;
    io.stderr.write(`the last look at the platform failed: ${printable(found.error)}${age}\n`);
  }
  return ExitCode.ok;
}

function orphanTable(rows: readonly OrphanRow[], style: Style, width: number | undefined): string[] {
  const heading = ['ID', 'NAME', 'ADDRESS', 'TOKEN'].map(style.dim);
  const body = rows.map(({ id, name, addresses, token }) =>
    [id, name, addresses.join(','), token].map(printable),
  );
  return tableOf([heading, ...body], 2, width);
}

async function searchNow(socket: string): Promise<OrphanList> {
  return operatorCall(socket, 'ListOrphans', async operator => {
    const { provider, orphans } = await operator.ListOrphans({}, { timeoutMs: LIST_TIMEOUT_MS });
    const rows = orphans.map(({ id, name, addresses, token }) => ({
      id: id ?? '',
      name: name ?? '',
      addresses: addresses ?? [],
      token: token ?? '',
    }));
    return { provider, checkedAt: new Date(), error: '', orphans: rows };
  });
}

async function deleteAll(socket: string, ids: readonly string[], json: boolean, io: Io): Promise<number> {
  const results: { id: string; deleted: boolean; error?: string }[] = [];
  for (const id of ids) {
    try {
      await operatorCall(socket, 'DeleteOrphan', operator =>
        operator.DeleteOrphan({ id }, { timeoutMs: DELETE_TIMEOUT_MS }),
      );
      if (!json) io.stdout.write(`${printable(id)}\n`);
      results.push({ id, deleted: true });
    } catch (error) {
      if (!json) report(io, `peerpod orphans delete ${printable(id)}`, error);
      results.push({ id, deleted: false, error: messageOf(error) });
    }
  }
  if (json) io.stdout.write(`${JSON.stringify({ orphans: results }, null, 2)}\n`);
  return results.every(({ deleted }) => deleted) ? ExitCode.ok : ExitCode.failed;
}

async function operatorCall<T>(
  socket: string,
  method: string,
  use: (operator: TypedClient<typeof operatorService>) => Promise<T>,
): Promise<T> {
  const client = await connectHypervisor(socket);
  try {
    return await use(clientOf(operatorService, client));
  } catch (error) {
    throw callError(method, error);
  } finally {
    client.close();
  }
}
