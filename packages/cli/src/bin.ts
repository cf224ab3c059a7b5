// SPDX-License-Identifier: Apache-2.0
// Starts peerpod: refuses a Node it should not run on, then hands the process to main. Nothing else is loaded before.
import { startProgram } from '@peerpod-tls/daemon/start';

void startProgram('peerpod', async () => {
  const { main } = await import('./main.js');
  // A reader that closes early (`peerpod ps | head -1`) ends the program quietly; demo and run listen for themselves.
  process.stdout.on('error', error => {
    if ('code' in error && error.code === 'EPIPE') process.exitCode = 141;
  });
  process.stderr.on('error', () => {});
  return main(process.argv.slice(2), {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    signals: process,
  });
});
