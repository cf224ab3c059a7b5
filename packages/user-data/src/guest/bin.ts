// SPDX-License-Identifier: Apache-2.0
// process-user-data, started: a Node.js that must not run it is told so before anything else is loaded.
import { startProgram } from '@peerpod-tls/daemon/start';

void startProgram('process-user-data', async () => {
  const { main } = await import('./main.js');
  return main(process.argv.slice(2), process.env, process);
});
