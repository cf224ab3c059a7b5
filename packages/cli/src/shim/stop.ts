// SPDX-License-Identifier: Apache-2.0
// `peerpod stop`: StopVM for one or several sandboxes, as a shim sends it.
import type { Line } from '../command.js';
import { ExitCode, type Io } from '../io.js';
import { messageOf } from '@peerpod-tls/base';
import { report } from '../report.js';
import { stopVm } from './pod.js';

export async function stop(
  { values, words }: Line<{ readonly socket: string; readonly json: boolean }>,
  io: Io,
): Promise<number> {
  const results = await Promise.all(
    words.map(async id => {
      try {
        await stopVm(values.socket, id);
        if (!values.json) io.stdout.write(`${id}\n`);
        return { id, stopped: true };
      } catch (error) {
        if (!values.json) report(io, `peerpod stop ${id}`, error);
        return { id, stopped: false, error: messageOf(error) };
      }
    }),
  );
  if (values.json) io.stdout.write(`${JSON.stringify({ sandboxes: results }, null, 2)}\n`);
  return results.every(result => result.stopped) ? ExitCode.ok : ExitCode.failed;
}
