// SPDX-License-Identifier: Apache-2.0
// Tells systemd how the service is doing (sd_notify(3)). Node.js has no Unix datagram socket, so systemd's own helper
// program sends the message; run as root it speaks in its parent's name, so `NotifyAccess=main` is enough.
import { execFile } from 'node:child_process';
import type { Logger } from 'pino';

export type SystemdState = 'READY=1' | 'STOPPING=1' | 'RELOADING=1' | `STATUS=${string}`;

const HELPER_MS = 5000;

/**
 * Sends one state to the service manager. Does nothing when `NOTIFY_SOCKET` is not set, and only warns when it cannot
 * send: a daemon that works must not end because nobody heard it.
 */
export function notifySystemd(state: SystemdState, env: NodeJS.ProcessEnv, log?: Logger): Promise<void> {
  const { NOTIFY_SOCKET: socket, PATH: path } = env;
  if (socket === undefined || socket === '') return Promise.resolve();
  return new Promise(done => {
    execFile(
      'systemd-notify',
      [state],
      { env: { NOTIFY_SOCKET: socket, PATH: path ?? '/usr/bin:/bin' }, timeout: HELPER_MS },
      err => {
        if (err !== null) log?.warn({ err, state }, 'service manager not notified');
        done();
      },
    );
  });
}
