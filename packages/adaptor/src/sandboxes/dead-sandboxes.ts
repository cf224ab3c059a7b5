// SPDX-License-Identifier: Apache-2.0
// What becomes of running sandboxes whose shim is gone: told of once each, and stopped only where the operator has
// switched that on. When a shim is gone is decided in shim-watch.ts; what stopping means is sandboxes.ts.
import { reasonOf } from '@peerpod-tls/base';
import type { Logger } from 'pino';
import type { Metrics } from '../metrics.js';
import { logOf } from './log-of.js';
import { ShimWatch, type DeadSandbox, type ShimWatchOptions } from './shim-watch.js';

export interface DeadSandboxesDeps extends Omit<ShimWatchOptions, 'onDead'> {
  /** False: a dry run, which tells what it would do. */
  readonly reap: boolean;
  readonly stop: (id: string) => Promise<void>;
  readonly metrics: Pick<Metrics, 'reaped'>;
}

/** Looks for dead sandboxes from now on, until it is closed. */
export function openShimWatch(deps: DeadSandboxesDeps): ShimWatch {
  let known: ReadonlySet<string> = new Set();
  const watch = new ShimWatch({
    ...deps,
    onDead: dead => {
      // One that was dead at the last look is neither told of nor stopped again.
      const before = known;
      known = new Set(dead.map(({ sandbox }) => sandbox.id));
      for (const one of dead) if (!before.has(one.sandbox.id)) take(deps, one);
    },
  });
  watch.start();
  return watch;
}

function take(deps: DeadSandboxesDeps, { sandbox, reason }: DeadSandbox): void {
  const log = logOf(deps, sandbox);
  if (deps.reap) {
    log.warn({ reason }, 'shim of a running sandbox is gone, its VM is stopped');
    void reap(deps, sandbox.id, log);
    return;
  }
  log.warn(
    { reason, hint: 'peerpod stop ends it; with -reap-dead-sandboxes the adaptor does' },
    'shim of a running sandbox is gone, its VM lives on until it is stopped',
  );
}

/** A stop that failed goes on by itself, as any does. */
async function reap({ stop, metrics }: DeadSandboxesDeps, id: string, log: Logger): Promise<void> {
  try {
    await stop(id);
    metrics.reaped('ok');
  } catch (err) {
    metrics.reaped('failed');
    log.error({ err, reason: reasonOf(err) }, 'dead sandbox not stopped');
  }
}
