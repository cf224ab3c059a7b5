// SPDX-License-Identifier: Apache-2.0
// `peerpod stop`: StopVM for one or several sandboxes, as a shim sends it.
import { type Command, ExitCode, jsonFlag, readCommandLine } from '../command.js';
import { messageOf } from '../errors.js';
import { report } from '../report.js';
import { socketFlag } from './flags.js';
import { stopVm } from './pod.js';

const flags = { ...socketFlag, ...jsonFlag } as const;

export const stop: Command = {
  name: 'stop',
  summary: 'stop pod VMs',
  async run(argv, io) {
    const line = readCommandLine(
      {
        name: 'stop',
        usage: 'ID... [flags]',
        about:
          'Stops sandboxes: the VM is deleted with everything that was made for it. All are tried, whatever fails.',
        flags,
        words: { min: 1, max: 1000, missing: 'stop needs the id of a sandbox' },
        examples: [
          ['peerpod stop web-1f00c2aa', 'one sandbox'],
          ['peerpod stop $(peerpod ps --quiet)', 'all of them'],
        ],
      },
      argv,
      io,
    );
    if (line === null) return ExitCode.ok;
    const results = await Promise.all(
      line.words.map(async id => {
        try {
          await stopVm(line.values.socket, id);
          if (!line.values.json) io.stdout.write(`${id}\n`);
          return { id, stopped: true };
        } catch (error) {
          if (!line.values.json) report(io, `peerpod stop ${id}`, error);
          return { id, stopped: false, error: messageOf(error) };
        }
      }),
    );
    if (line.values.json) io.stdout.write(`${JSON.stringify({ sandboxes: results }, null, 2)}\n`);
    return results.every(result => result.stopped) ? ExitCode.ok : ExitCode.failed;
  },
};
