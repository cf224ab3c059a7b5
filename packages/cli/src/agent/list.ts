// SPDX-License-Identifier: Apache-2.0
// `peerpod agent list`: the methods of an agent, without asking one.
import type { Line } from '../command.js';
import { ExitCode, type Io } from '../io.js';
import { resolveMethod } from './method-names.js';
import { methodDetails, methodList } from './methods-view.js';

export async function list({ words, out }: Line<unknown>, io: Io): Promise<number> {
  const [word] = words;
  const width = io.stdout.isTTY === true ? io.stdout.columns : undefined;
  io.stdout.write(word === undefined ? methodList(out, width) : methodDetails(resolveMethod(word), out));
  return ExitCode.ok;
}
