// SPDX-License-Identifier: Apache-2.0
// Keeps a state directory to one adaptor. The lock is a socket, because the kernel lets go of it when its owner dies;
// a file with a process number in it would survive a crash and lie in a container, where every adaptor is process 1.
import { codeOf } from '@peerpod-tls/base';
import { createServer, type Server } from 'node:net';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { listenUnixSocket } from '@peerpod-tls/daemon';
import type { Logger } from 'pino';
import { AdaptorError } from '../errors.js';

export interface StateLock {
  release(): Promise<void>;
}

/**
 * Takes the lock on an existing state directory. Throws `ERR_ADAPTOR_STATE_IN_USE` when another live adaptor has it.
 * Two locks are taken: an abstract socket named after the directory's inode, which no race can split but which only
 * processes of one network namespace share, and a socket file inside the directory, which all namespaces see.
 */
export async function lockStateDir(stateDir: string, log: Logger): Promise<StateLock> {
  const { dev, ino } = await stat(stateDir);
  const abstract = await listenAbstract(`\0peerpod-adaptor-state-${dev}-${ino}`, stateDir);
  try {
    const file = await listenUnixSocket({
      path: path.join(stateDir, 'lock'),
      onConnection: socket => socket.destroy(),
      log,
    });
    return {
      release: async () => {
        await file.close();
        await closeServer(abstract);
      },
    };
  } catch (error) {
    await closeServer(abstract);
    if (codeOf(error) === 'ERR_SOCKET_IN_USE') throw inUse(stateDir, error);
    throw error;
  }
}

function inUse(stateDir: string, cause: unknown): AdaptorError {
  return new AdaptorError(
    'ERR_ADAPTOR_STATE_IN_USE',
    `another adaptor is using the state directory ${stateDir}`,
    {
      hint: 'stop that one first, or give this one its own -state-dir, -pods-dir and -socket',
      cause,
    },
  );
}

function listenAbstract(name: string, stateDir: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer(socket => socket.destroy());
    server.once('error', error => {
      reject(codeOf(error) === 'EADDRINUSE' ? inUse(stateDir, error) : error);
    });
    server.listen(name, () => resolve(server));
    server.unref();
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise(resolve => server.close(() => resolve()));
}
