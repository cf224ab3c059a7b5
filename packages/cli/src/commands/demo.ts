// SPDX-License-Identifier: Apache-2.0
// `peerpod demo` on the command line.
import { command, jsonFlag } from '../command.js';

export const demo = command({
  command: 'demo',
  summary: 'one pod from nothing to a command running behind mutual TLS, shown step by step',
  about:
    'Starts cloud-api-adaptor with the local provider in a private temporary directory, creates a pod as a kata shim ' +
    'does, runs a command in it over mutual TLS, and serves until Ctrl-C. Nothing is left behind. Needs no root.',
  tail: '[-- COMMAND [ARGUMENT...]]',
  flags: {
    once: { type: 'boolean', default: false, describe: 'end after the command, with exit code 0 or 1' },
    command: {
      type: 'string',
      describe: 'shell text to run in the pod instead of a few lines about where it is',
    },
    'keep-dir': {
      type: 'string',
      describe: "keep the demo's files and log in this directory, which must be new or empty",
    },
    ...jsonFlag,
  },
  examples: [
    ['peerpod demo', 'the whole story, then a live view'],
    ['peerpod demo --once -- uname -a', 'one command, then the end'],
    ['peerpod demo --json --once', 'for scripts: one JSON object per step'],
  ],
  load: async () => (await import('../demo/demo.js')).demo,
});
