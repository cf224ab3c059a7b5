// SPDX-License-Identifier: Apache-2.0
// A tiny process beside the demo that outlives it: when the pipe from the demo closes, it sweeps. In an orderly end
// nothing is left to sweep; after a SIGKILL of the demo it is the one who cleans up. Program: arguments are the
// directory and `keep` or `remove`.
import { sweep } from './sweep.js';

const [dir, mode] = process.argv.slice(2);
// The terminal's Ctrl-C, its closing and a service manager's stop reach this process too; it leaves when the demo has.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) process.on(signal, () => {});
if (dir === undefined || !dir.startsWith('/') || dir === '/') {
  process.exitCode = 2;
} else {
  process.stdin.resume();
  process.stdin.on('error', () => {});
  process.stdin.on('close', () => {
    sweep(dir, { keep: mode === 'keep' });
  });
}
