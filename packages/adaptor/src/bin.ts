// SPDX-License-Identifier: Apache-2.0
// Starts cloud-api-adaptor, if this Node.js may run it. Everything else is in main.ts.
import { nodeRefusal } from '@peerpod-tls/daemon/node-version';

void (async () => {
  const refusal = nodeRefusal();
  if (refusal === null) {
    const { main } = await import('./main.js');
    const code = await main({
      argv: process.argv.slice(2),
      env: process.env,
      stdout: process.stdout,
      stderr: process.stderr,
    });
    // Sockets of peers that would not leave must not keep a process that was told to end.
    process.exit(code);
  } else {
    process.stderr.write(`cloud-api-adaptor: ${refusal}\n`);
    process.exitCode = 1;
  }
})();
