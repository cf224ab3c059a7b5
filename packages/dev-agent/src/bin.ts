// SPDX-License-Identifier: Apache-2.0
// Starts peerpod-dev-agent: refuses a Node it should not run on, then hands the process to main. Nothing else is loaded before.
import { startProgram } from '@peerpod-tls/daemon/start';

void startProgram('peerpod-dev-agent', async () => {
  const { main } = await import('./main.js');
  return main(process.argv.slice(2), process.env);
});
