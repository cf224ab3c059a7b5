// SPDX-License-Identifier: Apache-2.0
// Where the process starts: refuses a Node that will not do before anything newer than it is loaded.
import { nodeRefusal } from '@peerpod-tls/daemon/node-version';

void (async () => {
  const refusal = nodeRefusal();
  if (refusal === null) {
    const { main } = await import('./main.js');
    process.exit(await main(process.argv.slice(2), process.env));
  }
  process.stderr.write(`agent-protocol-forwarder: ${refusal}\n`);
  process.exitCode = 1;
})();
