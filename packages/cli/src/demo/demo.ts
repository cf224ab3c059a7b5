// SPDX-License-Identifier: Apache-2.0
// `peerpod demo`: its flags and its end. The story in between is show.ts.
import { type Command, ExitCode, jsonFlag, readCommandLine } from '../command.js';
import { isBrokenPipe } from '../errors.js';
import { chooseCommand } from './command.js';
import { Ending } from './ending.js';
import { Place } from './place.js';
import { Show } from './show.js';
import { JsonStage, TextStage } from './stage.js';

const flags = {
  once: { type: 'boolean', default: false, describe: 'end after the command, with exit code 0 or 1' },
  command: {
    type: 'string',
    placeholder: 'TEXT',
    describe: 'shell text to run in the pod instead of a few lines about where it is',
  },
  'keep-dir': {
    type: 'string',
    placeholder: 'DIR',
    describe: "keep the demo's files and log here, in a new directory",
  },
  ...jsonFlag,
} as const;

export const demo: Command = {
  name: 'demo',
  summary: 'one pod from nothing to a command running behind mutual TLS, shown step by step',
  async run(argv, io) {
    const line = readCommandLine(
      {
        name: 'demo',
        usage: '[flags] [-- COMMAND [ARGUMENT...]]',
        about:
          'Starts cloud-api-adaptor with the local provider in a private temporary directory, creates a pod as a kata shim\n' +
          'does, runs a command in it over mutual TLS, and serves until Ctrl-C. Nothing is left behind. Needs no root.',
        flags,
        tail: true,
        examples: [
          ['peerpod demo', 'the whole story, then a live view'],
          ['peerpod demo --once -- uname -a', 'one command, then the end'],
          ['peerpod demo --json --once', 'for scripts: one JSON object per step'],
        ],
      },
      argv,
      io,
    );
    if (line === null) return ExitCode.ok;
    const { values, out: style } = line;
    const command = chooseCommand(values.command, line.tail);
    const place = Place.make(values['keep-dir']);
    const ending = new Ending(io, place);
    const stage = values.json
      ? new JsonStage(io.stdout)
      : new TextStage(io.stdout, style, io.stdout.isTTY === true);
    const show = new Show({ place, stage, style, io, command, once: values.once, signal: ending.signal });
    try {
      // Whoever ends it wins: the story, or a second signal that has swept everything away.
      return await Promise.race([show.run(), ending.swept]);
    } catch (error) {
      if (isBrokenPipe(error) || ending.brokenPipe) return ExitCode.hangup;
      throw error;
    } finally {
      stage.close();
      ending.close();
      await place.clear();
    }
  },
};
