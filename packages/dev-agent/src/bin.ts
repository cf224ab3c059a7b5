// SPDX-License-Identifier: Apache-2.0
// Starts peerpod-dev-agent: refuses a Node it should not run on, then hands the process to main. Nothing else is loaded before.
import { nodeRefusal } from '@peerpod-tls/daemon/node-version';

void (async () => {
  const refusal = nodeRefusal();
  if (refusal === null) {
    const { main } = await import('./main.js');
    process.exitCode = await main(process.argv.slice(2), process.env);
  } else {
    process.stderr.write(`peerpod-dev-agent: ${refusal}\n`);
    process.exitCode = 1;
  }
})();
