// SPDX-License-Identifier: Apache-2.0
// Listening on a Unix socket in place of whoever listens there: connections that are open stay with the one that accepted
// them, and the path is missing at no moment. Who takes over from whom is the caller's business.
import { chmodSync, lstatSync, mkdtempSync, renameSync, rmSync, unlinkSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { messageOf } from '@peerpod-tls/base';
import { DaemonError } from './errors.js';
import { BACKLOG, checkPath, lstatOrNull, notASocket, prepareDirectory, sameFile } from './socket-path.js';
import type { UnixListener, UnixListenOptions } from './unix-socket.js';

/**
 * Listens on a Unix socket of mode 0600 that replaces the one at its path, live or not.
 *
 * @throws DaemonError `ERR_SOCKET_NOT_A_SOCKET`, `ERR_SOCKET_PATH`, `ERR_SOCKET_DIRECTORY`, `ERR_SOCKET_LISTEN`
 */
export async function listenAside(options: UnixListenOptions): Promise<UnixListener> {
  const { log } = options;
  const path = checkPath(options.path);
  prepareDirectory(path);
  const found = lstatOrNull(path);
  if (found !== null && !found.isSocket()) throw notASocket(path);

  const server = createServer({ allowHalfOpen: options.allowHalfOpen ?? false }, socket => {
    socket.on('error', err => log.debug({ err, socket: path }, 'socket peer hung up'));
    options.onConnection(socket);
  });
  await bindAside(server, path);
  const own = lstatSync(path, { bigint: true });
  server.on('error', err => log.error({ err, socket: path }, 'socket failed'));

  let closed = false;
  const close = async (): Promise<void> => {
    if (closed) return;
    closed = true;
    try {
      const now = lstatOrNull(path);
      if (now !== null && sameFile(now, own)) unlinkSync(path);
    } catch (err) {
      log.warn({ err, socket: path }, 'socket path could not be removed while closing');
    }
    // Nobody finds this one by its path any more; who found it just before waits to be accepted, and is not reset.
    await turn();
    await turn();
    server.close();
  };
  return { path, close, [Symbol.asyncDispose]: close };
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

/** Made in a directory that nobody else can enter, given its mode, and then its name. */
async function bindAside(server: Server, path: string): Promise<void> {
  let aside: string | null = null;
  try {
    aside = mkdtempSync(join(dirname(path), '.'));
    const made = join(aside, 's');
    await new Promise<void>((done, fail) => {
      server.once('error', fail).listen({ path: made, backlog: BACKLOG }, done);
    });
    server.removeAllListeners('error');
    chmodSync(made, 0o600);
    renameSync(made, path);
  } catch (cause) {
    server.close();
    throw new DaemonError('ERR_SOCKET_LISTEN', `cannot listen on ${path}: ${messageOf(cause)}`, { cause });
  } finally {
    if (aside !== null) rmSync(aside, { recursive: true, force: true });
  }
}
