// SPDX-License-Identifier: Apache-2.0
// One try to connect to a Unix socket. Waiting for a socket that is not there yet is the caller's loop.
import { connect } from 'node:net';
import { TtrpcClient } from './client.js';
import type { TtrpcClientOptions } from './client.js';
import { StatusError, TtrpcError } from './errors.js';
import { StatusCode } from './status.js';
import { startTimer } from '@peerpod-tls/base';

export interface ConnectOptions extends TtrpcClientOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds for the connection alone. Default: as long as the system takes. */
  readonly timeoutMs?: number | undefined;
}

/** Longest path of a Unix socket on Linux, in bytes. */
const MAX_PATH_BYTES = 107;

const hints: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such socket: is the server running, and is this its path?',
  ECONNREFUSED: 'the socket is there and nobody listens on it: the server has ended',
  EACCES: 'this user may not use the socket',
  ENOTSOCK: 'the path names something that is not a socket',
};

/**
 * A client on the socket at `path`.
 * @throws TtrpcError ERR_TTRPC_CONNECT, the system's error as its cause
 * @throws StatusError Canceled when `signal` aborts, DeadlineExceeded after `timeoutMs`
 */
export async function connectUnix(path: string, o: ConnectOptions = {}): Promise<TtrpcClient> {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
    throw new TtrpcError(
      'ERR_TTRPC_CONNECT',
      `cannot connect to ${path}: a socket path has at most 107 bytes`,
      {
        hint: 'use a shorter directory',
      },
    );
  }
  if (o.signal?.aborted === true) throw canceled(path, o.signal);
  return await new Promise<TtrpcClient>((resolve, reject) => {
    const socket = connect({ path });
    const stop = (): void => {
      cancelTimer?.();
      o.signal?.removeEventListener('abort', onAbort);
      socket.off('connect', onConnect);
      socket.off('error', onError);
    };
    const fail = (error: Error): void => {
      stop();
      socket.on('error', () => {});
      socket.destroy();
      reject(error);
    };
    const onConnect = (): void => {
      stop();
      resolve(new TtrpcClient(socket, o));
    };
    const onError = (error: NodeJS.ErrnoException): void => {
      const hint = error.code === undefined ? undefined : hints[error.code];
      fail(
        new TtrpcError('ERR_TTRPC_CONNECT', `cannot connect to ${path}: ${error.code ?? error.message}`, {
          ...(hint === undefined ? {} : { hint }),
          cause: error,
        }),
      );
    };
    const onAbort = (): void => {
      if (o.signal !== undefined) fail(canceled(path, o.signal));
    };
    const cancelTimer =
      o.timeoutMs === undefined
        ? null
        : startTimer(o.timeoutMs, () =>
            fail(
              new StatusError(
                StatusCode.deadlineExceeded,
                `no connection to ${path} within ${o.timeoutMs} ms`,
              ),
            ),
          );
    o.signal?.addEventListener('abort', onAbort, { once: true });
    socket.on('connect', onConnect);
    socket.on('error', onError);
  });
}

function canceled(path: string, signal: AbortSignal): StatusError {
  return new StatusError(StatusCode.canceled, `connecting to ${path} was canceled by its caller`, {
    cause: signal.reason,
  });
}
