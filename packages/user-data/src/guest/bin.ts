// SPDX-License-Identifier: Apache-2.0
// process-user-data, started: a Node.js that must not run it is told so before anything else is loaded.
import { nodeRefusal } from '@peerpod-tls/daemon/node-version';

void (async () => {
  const refusal = nodeRefusal();
  if (refusal === null) {
    const { main } = await import('./main.js');
    process.exitCode = await main(process.argv.slice(2), process.env, process);
  } else {
    process.stderr.write(`process-user-data: ${refusal}\n`);
    process.exitCode = 1;
  }
})();
