// SPDX-License-Identifier: Apache-2.0
// Keeps a state directory to one adaptor. The lock is a socket, because the kernel lets go of it when its owner dies;
// a file with a process number in it would survive a crash and lie in a container, where every adaptor is process 1.
import { createServer, type Server } from 'node:net';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { codeOf, sleep } from '@peerpod-tls/base';
import { formatDuration, listenUnixSocket } from '@peerpod-tls/daemon';
import type { Logger } from 'pino';
import { AdaptorError } from '../errors.js';

export interface StateLock {
  release(): Promise<void>;
}

export interface TakeOver {
  /** How long to wait for an adaptor that has the lock, in milliseconds; 0 refuses at once. */
  readonly ms: number;
  /** Ends the waiting. */
  readonly signal: AbortSignal;
  /** Called once, when there is somebody to wait for. */
  readonly onWait: () => Promise<void>;
  readonly log: Logger;
}

/** Between two tries: a pod of this node waits for no longer than this after the other adaptor has gone. */
const AGAIN_MS = 250;

/**
 * Takes the lock on an existing state directory, waiting for the adaptor that has it to end: in a rolling update that
 * one is told to only once this one is up.
 *
 * @throws AdaptorError `ERR_ADAPTOR_STATE_IN_USE` when the other one is still there after `o.ms`; the signal's reason
 */
export async function takeOverStateDir(stateDir: string, o: TakeOver): Promise<StateLock> {
  const until = performance.now() + o.ms;
  for (let waited = false; ; waited = true) {
    try {
      const lock = await lockStateDir(stateDir, o.log);
      if (waited) o.log.info({ stateDir }, 'state directory taken over');
      return lock;
    } catch (error) {
      if (codeOf(error) !== 'ERR_ADAPTOR_STATE_IN_USE' || o.ms === 0) throw error;
      if (performance.now() >= until)
        throw inUse(stateDir, error, ` and did not end within ${formatDuration(o.ms)}`);
      if (!waited) {
        o.log.warn(
          { stateDir, takeoverTimeout: formatDuration(o.ms) },
          'another adaptor uses the state directory, waiting for it to end',
        );
        await o.onWait();
      }
      await sleep(AGAIN_MS, o.signal);
    }
  }
}

/**
 * Two locks are taken: an abstract socket named after the directory's inode, which no race can split but which only
 * processes of one network namespace share, and a socket file inside the directory, which all namespaces see.
 */
async function lockStateDir(stateDir: string, log: Logger): Promise<StateLock> {
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

function inUse(stateDir: string, cause: unknown, more = ''): AdaptorError {
  return new AdaptorError(
    'ERR_ADAPTOR_STATE_IN_USE',
    `another adaptor is using the state directory ${stateDir}${more}`,
    {
      hint: 'stop that one first, wait longer with -takeover-timeout, or give this one its own -state-dir, -pods-dir and -socket',
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
