// SPDX-License-Identifier: Apache-2.0
// Starts agent-protocol-proxy, if this Node.js may run it, or a thread of its data path: a bundle is one file for both.
// Everything else is in main.ts.
import { isMainThread } from 'node:worker_threads';
import { startProgram } from '@peerpod-tls/daemon/start';

if (isMainThread) {
  void startProgram(
    'agent-protocol-proxy',
    async () => {
      const { main } = await import('./main.js');
      return main(process.argv.slice(2), process.env);
    },
    // Sockets of peers that would not leave must not keep a process that was told to end.
    code => process.exit(code),
  );
} else void startThread();

async function startThread(): Promise<void> {
  const { serveThread } = await import('./threads/serve-thread.js');
  serveThread();
}
