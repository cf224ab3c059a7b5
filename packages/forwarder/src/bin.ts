// SPDX-License-Identifier: Apache-2.0
// Where the process starts: refuses a Node that will not do before anything newer than it is loaded.
import { startProgram } from '@peerpod-tls/daemon/start';

void startProgram(
  'agent-protocol-forwarder',
  async () => {
    const { main } = await import('./main.js');
    return main(process.argv.slice(2), process.env);
  },
  code => process.exit(code),
);
