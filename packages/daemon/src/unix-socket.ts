// SPDX-License-Identifier: Apache-2.0
// Listening on a Unix socket without taking one away from somebody else. What is said over it is the caller's.
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdtempSync,
  renameSync,
  rmSync,
  unlinkSync,
  type BigIntStats,
} from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { codeOf, messageOf } from '@peerpod-tls/base';
import type { Logger } from 'pino';
import { DaemonError } from './errors.js';
import { BACKLOG, checkPath, lstatOrNull, notASocket, prepareDirectory, sameFile } from './socket-path.js';

/** How long a socket that is already there may take to accept before it counts as held by somebody busy. */
const PROBE_MS = 1000;

export interface UnixListenOptions {
  /** Where the socket appears. Made absolute. At most {@link MAX_SOCKET_PATH} bytes. */
  readonly path: string;
  /** Gets every connection, and owns it from then on. */
  readonly onConnection: (socket: Socket) => void;
  readonly log: Logger;
  /** Connections may send after the other side has ended, as `net.Server` takes it. Default false. */
  readonly allowHalfOpen?: boolean;
}

export interface UnixListener extends AsyncDisposable {
  readonly path: string;
  /**
   * Stops accepting and removes the socket file, if it is still ours. Connections stay with those who own them.
   * Calling it again does nothing.
   */
  close(): Promise<void>;
}

/**
 * Listens on a Unix socket of mode 0600.
 *
 * Missing parent directories are made with mode 0700. A directory that is there is used if it belongs to this user or
 * to root and nobody but them and this process's group may write to it, or if it is sticky like `/tmp`. A socket file
 * that nobody answers on is removed; anything else at the path is left alone and refused.
 *
 * @throws DaemonError `ERR_SOCKET_IN_USE` (a live process answers), `ERR_SOCKET_NOT_A_SOCKET`, `ERR_SOCKET_PATH` (too
 * long), `ERR_SOCKET_DIRECTORY` (cannot be made, or is open to others), `ERR_SOCKET_LISTEN`
 */
export async function listenUnixSocket(options: UnixListenOptions): Promise<UnixListener> {
  const path = checkPath(options.path);
  prepareDirectory(path);
  await removeStale(path, options.log);

  const server = createServer({ allowHalfOpen: options.allowHalfOpen ?? false }, socket => {
    // A peer that hangs up at once, as a probe for a live socket does, must not end the process.
    socket.on('error', err => options.log.debug({ err, socket: path }, 'socket peer hung up'));
    options.onConnection(socket);
  });
  await (isMainThread ? listen(server, path) : listenByLink(server, path));
  const own = lstatSync(path, { bigint: true });
  server.on('error', err => options.log.error({ err, socket: path }, 'socket failed'));

  let closed = false;
  const close = (): Promise<void> => {
    if (!closed) {
      closed = true;
      try {
        closeOwn(server, path, own);
      } catch (err) {
        // Where a file cannot be moved aside, closing cannot remove it either.
        options.log.warn({ err, socket: path }, 'socket path could not be checked while closing');
        server.close();
      }
    }
    return Promise.resolve();
  };
  return { path, close, [Symbol.asyncDispose]: close };
}

/** Removes a socket nobody listens on. Whoever starts at the same moment loses at bind(2), which never replaces. */
async function removeStale(path: string, log: Logger): Promise<void> {
  const found = lstatOrNull(path);
  if (found === null) return;
  if (!found.isSocket()) throw notASocket(path);
  const answer = await probe(path);
  if (answer === 'ENOENT') return;
  if (answer !== 'ECONNREFUSED') throw inUse(path, answer);
  const now = lstatOrNull(path);
  if (now === null) return;
  if (!sameFile(now, found)) throw inUse(path, 'replaced');
  try {
    unlinkSync(path);
  } catch (cause) {
    throw new DaemonError(
      'ERR_SOCKET_LISTEN',
      `cannot remove the stale socket ${path}: ${messageOf(cause)}`,
      {
        cause,
      },
    );
  }
  log.info({ socket: path }, 'stale socket removed');
}

function inUse(path: string, answer: string): DaemonError {
  const why =
    answer === 'connected'
      ? 'a running process answers on it'
      : answer === 'replaced'
        ? 'another process took it just now'
        : `it does not look abandoned (${answer})`;
  return new DaemonError('ERR_SOCKET_IN_USE', `the socket ${path} is in use: ${why}`, {
    hint: 'stop the other process, or give another path for the socket',
  });
}

/** `connected`, `timeout`, or the code of the error. */
function probe(path: string): Promise<string> {
  return new Promise(done => {
    const socket = connect(path);
    const finish = (answer: string): void => {
      socket.destroy();
      done(answer);
    };
    socket.setTimeout(PROBE_MS, () => finish('timeout'));
    socket.once('connect', () => finish('connected'));
    socket.once('error', (err: NodeJS.ErrnoException) => finish(err.code ?? err.message));
  });
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((done, fail) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      fail(
        cause.code === 'EADDRINUSE'
          ? inUse(path, 'replaced')
          : new DaemonError('ERR_SOCKET_LISTEN', `cannot listen on ${path}: ${messageOf(cause)}`, { cause }),
      );
    });
    // bind(2) runs inside listen(), so the mask covers the moment in which the file appears, and nothing else.
    const mask = process.umask(0o177);
    try {
      server.listen({ path, backlog: BACKLOG }, () => {
        server.removeAllListeners('error');
        done();
      });
    } finally {
      process.umask(mask);
    }
  });
}

/**
 * The mask belongs to the process, and a thread may not set it. There the socket is made in a directory that nobody else
 * can enter, gets its mode, and then its name by link(2), which like bind(2) never replaces. A socket in a directory of
 * six letters needs no more of the 107 bytes than `agent.ttrpc` does.
 */
async function listenByLink(server: Server, path: string): Promise<void> {
  const failed = (cause: unknown): DaemonError =>
    codeOf(cause) === 'EEXIST'
      ? inUse(path, 'replaced')
      : new DaemonError('ERR_SOCKET_LISTEN', `cannot listen on ${path}: ${messageOf(cause)}`, { cause });
  let aside: string | null = null;
  try {
    aside = mkdtempSync(join(dirname(path), '.'));
    const made = join(aside, 's');
    await new Promise<void>((done, fail) => {
      server.once('error', fail).listen({ path: made, backlog: BACKLOG }, done);
    });
    server.removeAllListeners('error');
    chmodSync(made, 0o600);
    linkSync(made, path);
  } catch (cause) {
    server.close();
    throw failed(cause);
  } finally {
    if (aside !== null) rmSync(aside, { recursive: true, force: true });
  }
}

/**
 * Closing a pipe server unlinks its path, whoever's file is there by now. When it is not ours any more, it is moved
 * aside for that one call.
 */
function closeOwn(server: Server, path: string, own: BigIntStats): void {
  const now = lstatOrNull(path);
  if (now === null || sameFile(now, own)) {
    // What was bound elsewhere is unlinked elsewhere.
    if (now !== null && !isMainThread) unlinkSync(path);
    server.close();
    return;
  }
  if (!isMainThread) {
    server.close();
    return;
  }
  const aside = join(dirname(path), `.${basename(path)}.${process.pid}`);
  renameSync(path, aside);
  server.close();
  renameSync(aside, path);
}
