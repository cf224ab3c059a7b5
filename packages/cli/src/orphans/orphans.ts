// SPDX-License-Identifier: Apache-2.0
// `peerpod orphans`: instances of an adaptor that belong to no sandbox. Looking goes through the status endpoint, which
// changes nothing; deleting through the hypervisor socket, which only the adaptor's own user can open.
import { operatorService } from '@peerpod-tls/agent-protocol';
import { nearest } from '@peerpod-tls/daemon';
import { clientOf, type TypedClient } from '@peerpod-tls/ttrpc';
import { type Command, ExitCode, type Io, jsonFlag, readCommandLine } from '../command.js';
import { messageOf } from '../errors.js';
import { report } from '../report.js';
import { callError } from '../shim/call-error.js';
import { socketFlag } from '../shim/flags.js';
import { connectHypervisor } from '../shim/pod.js';
import { DEFAULT_STATUS_ADDRESS, type OrphanList, type OrphanRow, readOrphans } from '../status/endpoint.js';
import { roughly } from '../terminal/format.js';
import type { Style } from '../terminal/style.js';
import { table } from '../terminal/table.js';
import { printable } from '../terminal/text.js';
import { usageError } from '../usage.js';

/** A cloud may take minutes to delete a machine. */
const DELETE_TIMEOUT_MS = 600_000;
const LIST_TIMEOUT_MS = 60_000;

const flags = {
  address: {
    type: 'string',
    default: DEFAULT_STATUS_ADDRESS,
    env: 'PEERPOD_STATUS_ADDRESS',
    placeholder: 'host:port',
    describe: 'status address of the adaptor',
  },
  ...socketFlag,
  fresh: {
    type: 'boolean',
    default: false,
    describe: 'let the adaptor look at the platform now, through -socket, instead of what it saw last',
  },
  quiet: { type: 'boolean', default: false, describe: 'print ids only' },
  ...jsonFlag,
} as const;

export const orphans: Command = {
  name: 'orphans',
  summary: 'list instances that belong to no sandbox, and delete those you name',
  async run(argv, io) {
    const line = readCommandLine(
      {
        name: 'orphans',
        usage: '[flags]\n       peerpod orphans delete ID... [flags]',
        about:
          'Lists the instances on the platform that the adaptor made and no sandbox accounts for, as after a lost state\n' +
          'directory. Nothing is deleted but what delete names, and no instance of a sandbox ever is.',
        flags,
        words: { min: 0, max: 1000, missing: '' },
        examples: [
          ['peerpod orphans', 'what the adaptor saw when it last looked'],
          ['peerpod orphans -fresh', 'what is there now'],
          ['peerpod orphans delete 1f00c2aa93d1', 'delete one'],
        ],
      },
      argv,
      io,
    );
    if (line === null) return ExitCode.ok;
    const [verb, ...ids] = line.words;
    const { address, socket, fresh, quiet, json } = line.values;
    switch (verb) {
      case undefined:
        return list(
          fresh ? await searchNow(socket) : await readOrphans(address),
          { quiet, json },
          line.out,
          io,
        );
      case 'delete':
        if (ids.length === 0) {
          throw usageError('orphans delete needs the id of an instance', 'peerpod orphans lists them');
        }
        return deleteAll(socket, ids, json, io);
      default:
        throw usageError(
          `${JSON.stringify(verb)} is nothing that orphans does`,
          nearest(verb, ['delete']) === undefined
            ? 'leave it out to list, or say delete and an id'
            : `did you mean peerpod orphans delete?`,
        );
    }
  },
};

function list(
  found: OrphanList,
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
  if (found.checkedAt === null) io.stderr.write('the adaptor has not looked at its platform yet\n');
  else if (found.orphans.length === 0) io.stderr.write('no orphans\n');
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
  return table([heading, ...body], { width });
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
