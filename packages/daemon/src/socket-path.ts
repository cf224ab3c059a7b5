// SPDX-License-Identifier: Apache-2.0
// Where a Unix socket may be: its path, the directory around it, and whether the file there is still the same. What
// listens on it is in unix-socket.ts and listen-aside.ts.
import { lstatSync, statSync, type BigIntStats, type Stats } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { makeDirectory, messageOf } from '@peerpod-tls/base';
import { DaemonError } from './errors.js';

/** Bytes of a path that fit in a Linux `sockaddr_un` with its final zero (unix(7)). */
export const MAX_SOCKET_PATH = 107;

/**
 * Connections that may wait to be accepted. connect(2) to a Unix socket whose queue is full fails at once with EAGAIN,
 * and shims do not try again; the kernel lowers this to net.core.somaxconn, 4,096 by default. Node's own is 511.
 */
export const BACKLOG = 4096;

/** @throws DaemonError `ERR_SOCKET_PATH` */
export function checkPath(given: string): string {
  if (given === '' || given.includes('\0'))
    throw new DaemonError('ERR_SOCKET_PATH', `${JSON.stringify(given)} is no path for a socket`);
  const path = resolve(given);
  const bytes = Buffer.byteLength(path);
  if (bytes > MAX_SOCKET_PATH) {
    throw new DaemonError(
      'ERR_SOCKET_PATH',
      `the socket path ${path} is ${bytes} bytes long, the kernel takes ${MAX_SOCKET_PATH}`,
      {
        hint: 'choose a directory with a shorter path',
      },
    );
  }
  return path;
}

/**
 * Makes missing directories, and refuses one in which somebody else could replace the socket.
 * @throws DaemonError `ERR_SOCKET_DIRECTORY`
 */
export function prepareDirectory(path: string): void {
  const directory = dirname(path);
  const stat = madeDirectory(directory);
  const own = process.geteuid?.() ?? stat.uid;
  if (stat.uid !== own && stat.uid !== 0) {
    throw new DaemonError(
      'ERR_SOCKET_DIRECTORY',
      `the socket directory ${directory} belongs to user ${stat.uid}, who could replace the socket`,
      {
        hint: `choose a directory of user ${own} or of root`,
      },
    );
  }
  const open =
    (stat.mode & 0o002) !== 0 ||
    ((stat.mode & 0o020) !== 0 && stat.gid !== (process.getegid?.() ?? stat.gid));
  if (open && (stat.mode & 0o1000) === 0) {
    throw new DaemonError(
      'ERR_SOCKET_DIRECTORY',
      `other users may write to the socket directory ${directory}`,
      {
        hint: `chmod go-w ${directory}`,
      },
    );
  }
}

function madeDirectory(directory: string): Stats {
  try {
    makeDirectory(directory, 0o700);
    return statSync(directory);
  } catch (cause) {
    throw new DaemonError(
      'ERR_SOCKET_DIRECTORY',
      `cannot make the directory ${directory} for the socket: ${messageOf(cause)}`,
      { cause },
    );
  }
}

/** An inode number alone is not enough: file systems give it out again at once. */
export function sameFile(a: BigIntStats, b: BigIntStats): boolean {
  return a.ino === b.ino && a.dev === b.dev && a.birthtimeNs === b.birthtimeNs;
}

export function lstatOrNull(path: string): BigIntStats | null {
  try {
    return lstatSync(path, { bigint: true, throwIfNoEntry: false }) ?? null;
  } catch (cause) {
    throw new DaemonError('ERR_SOCKET_LISTEN', `cannot look at ${path}: ${messageOf(cause)}`, { cause });
  }
}

/** Whatever is no socket is left alone. */
export function notASocket(path: string): DaemonError {
  return new DaemonError('ERR_SOCKET_NOT_A_SOCKET', `${path} is there already and is no socket`, {
    hint: 'move it away, or give another path for the socket',
  });
}
