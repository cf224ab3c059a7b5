// SPDX-License-Identifier: Apache-2.0
// Starts cloud-api-adaptor, if this Node.js may run it. Everything else is in main.ts.
import { startProgram } from '@peerpod-tls/daemon/start';

void startProgram(
  'cloud-api-adaptor',
  async () => {
    const { main } = await import('./main.js');
    return main({
      argv: process.argv.slice(2),
      env: process.env,
      stdout: process.stdout,
      stderr: process.stderr,
    });
  },
  // Sockets of peers that would not leave must not keep a process that was told to end.
  code => process.exit(code),
);
