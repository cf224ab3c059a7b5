// SPDX-License-Identifier: Apache-2.0
// The life of a process: start services in order, wait for a signal, close them in reverse. No flags and no sockets.
//
// The sequence, each step of which has a test:
//   start     one after another; a failure closes those that started and is thrown. A signal meanwhile aborts it.
//   ready     `onReady`; then the parent is told, where it gave a pipe for that, and systemd with READY=1.
//   SIGHUP    each service's `reload`, one after another; a failure is logged and stops nobody. Heard and ignored
//             while draining.
//   SIGTERM, SIGINT   STOPPING=1; the services close in reverse order, all of them even if one fails. When that takes
//             longer than `drainMs`, the result is 1 and the caller exits with what is still open.
//   again     a second SIGTERM or SIGINT ends the process at once with 1.
//   end       the last line of the log says `ended`, or `ended at once`.
import type { EventEmitter } from 'node:events';
import type { Logger } from 'pino';
import { codeOf, messageOf, startTimer } from '@peerpod-tls/base';
import { DaemonError } from './errors.js';
import { openReadyChannel, type ReadyDetails } from './ready-channel.js';
import { notifySystemd, type SystemdState } from './systemd.js';

export interface Service {
  readonly name: string;
  /** Resolves when the service serves. `signal` aborts when the process is told to stop before that. */
  start(signal: AbortSignal): Promise<void>;
  /** Reads its files again. A rejection means that the old state is still in force. */
  reload?(): Promise<void>;
  /** What a parent process is told once everything has started, like the address that was chosen. */
  details?(): ReadyDetails;
  /** Stops taking work, lets open work finish, releases everything. */
  close(): Promise<void>;
  /** Resolves or rejects when the service cannot go on; the process then closes and fails with that error. */
  readonly failed?: Promise<unknown>;
}

export interface RunOptions {
  readonly services: readonly Service[];
  readonly log: Logger;
  /** How long closing may take after the first signal, in milliseconds. */
  readonly drainMs: number;
  /** Runs once everything has started, before anybody is told. */
  readonly onReady?: () => void | Promise<void>;
  /** Emits SIGINT, SIGTERM and SIGHUP. Default: this process. */
  readonly signals?: EventEmitter;
  /** What the second signal does. Default: `process.exit`. */
  readonly exit?: (code: number) => void;
  /** Read for NOTIFY_SOCKET and PEERPOD_READY_FD. Default: the environment of this process. */
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * Runs services until a signal ends them.
 *
 * @returns the exit code: 0 when everything closed in time, 1 when the drain timer ended it
 * @throws what a service's start, `onReady` or `failed` threw; `ERR_DAEMON_CLOSE` with the errors of services that did
 * not close cleanly
 */
export async function runServices(options: RunOptions): Promise<number> {
  const { log, services } = options;
  const env = options.env ?? process.env;
  const hearing = hearSignals(options);
  const channel = openReadyChannel(env, log);
  const begin = performance.now();
  let exitCode = 1;
  const started: Service[] = [];
  // The service manager is told on the side, in order: how long its helper takes must not hold up a drain.
  let told = Promise.resolve();
  const tell = (state: SystemdState): void => {
    told = told.then(() => notifySystemd(state, env, log));
  };
  try {
    const up = await Promise.race([
      startAll(services, started, hearing.stop, log),
      gaveUp(hearing.stop, options.drainMs),
    ]);
    if (up) {
      await options.onReady?.();
      channel.ready(Object.assign({}, ...services.map(service => service.details?.())));
      tell('READY=1');
      await runUntilStopped(services, hearing, log);
    }
    tell('STOPPING=1');
    exitCode = finish(await closeAll(started, options.drainMs, log));
    return exitCode;
  } catch (error) {
    if (isCloseError(error)) throw error;
    const closing = await closeAll(started, options.drainMs, log);
    if (hearing.stop.aborted) {
      // The start gave up because it was told to stop; anything else it met on the way is worth a line.
      if (!isAbort(error, hearing.stop)) log.warn({ err: error }, 'start failed while stopping');
      exitCode = finish(closing);
      return exitCode;
    }
    for (const err of closing.errors) log.error({ err }, 'service not closed cleanly');
    throw error;
  } finally {
    channel.close();
    await told;
    hearing.end();
    log.info({ exitCode, seconds: Math.round((performance.now() - begin) / 1000) }, 'ended');
  }
}

/** False when a signal came before everything was up. */
async function startAll(
  services: readonly Service[],
  started: Service[],
  stop: AbortSignal,
  log: Logger,
): Promise<boolean> {
  for (const service of services) {
    if (stop.aborted) return false;
    // A service that fails half-way may hold something already, so it is closed like the others.
    started.push(service);
    const begin = performance.now();
    log.debug({ service: service.name }, 'service starting');
    await service.start(stop);
    log.debug({ service: service.name, ms: Math.round(performance.now() - begin) }, 'service started');
  }
  return !stop.aborted;
}

/** Resolves false when a start that was told to stop still has not returned after `ms`. */
function gaveUp(stop: AbortSignal, ms: number): Promise<false> {
  return new Promise(resolve => {
    stop.addEventListener('abort', () => void startTimer(ms, () => resolve(false), { ref: false }), {
      once: true,
    });
  });
}

interface Hearing {
  readonly stop: AbortSignal;
  /** The next SIGHUP, or the one that came while nobody waited. */
  nextReload(): Promise<void>;
  end(): void;
}

function hearSignals(options: RunOptions): Hearing {
  const signals = options.signals ?? process;
  const exit = options.exit ?? ((code: number): void => process.exit(code));
  const stopping = new AbortController();
  let pendingReload = false;
  let wake: (() => void) | null = null;
  // Signal handlers do not keep a process alive; waiting for a signal is what this one does.
  const alive = setInterval(() => undefined, 0x7fffffff);

  const onStop = (name: unknown): void => {
    const signal = typeof name === 'string' ? name : 'signal';
    if (stopping.signal.aborted) {
      options.log.warn({ signal }, 'second signal received, ended at once');
      exit(1);
      return;
    }
    options.log.info({ signal, drainMs: options.drainMs }, 'drain started');
    stopping.abort();
  };
  const onReload = (): void => {
    if (stopping.signal.aborted) {
      options.log.info('reload ignored while draining');
      return;
    }
    pendingReload = true;
    wake?.();
  };
  signals.on('SIGINT', onStop).on('SIGTERM', onStop).on('SIGHUP', onReload);
  return {
    stop: stopping.signal,
    async nextReload() {
      if (!pendingReload) await new Promise<void>(resolve => (wake = resolve));
      pendingReload = false;
    },
    end() {
      clearInterval(alive);
      signals.off('SIGINT', onStop).off('SIGTERM', onStop).off('SIGHUP', onReload);
    },
  };
}

async function runUntilStopped(services: readonly Service[], hearing: Hearing, log: Logger): Promise<void> {
  const stopped = new Promise<'stop'>(resolve => {
    if (hearing.stop.aborted) resolve('stop');
    hearing.stop.addEventListener('abort', () => resolve('stop'), { once: true });
  });
  const failures = services.flatMap(service =>
    service.failed === undefined ? [] : [throwWhenFailed(service, service.failed)],
  );
  for (const failure of failures) failure.catch(() => undefined);
  for (;;) {
    const event = await Promise.race([
      stopped,
      ...failures,
      hearing.nextReload().then(() => 'reload' as const),
    ]);
    if (event === 'stop') return;
    // A reload that hangs must not keep the process from stopping.
    await Promise.race([stopped, ...failures, reloadAll(services, log)]);
  }
}

async function throwWhenFailed(service: Service, failed: Promise<unknown>): Promise<never> {
  const reason = await failed;
  throw reason instanceof Error
    ? reason
    : new Error(`internal error: service ${service.name} failed without an error`);
}

async function reloadAll(services: readonly Service[], log: Logger): Promise<void> {
  for (const service of services) {
    if (service.reload === undefined) continue;
    try {
      await service.reload();
      log.info({ service: service.name }, 'service reloaded');
    } catch (err) {
      log.error({ err, service: service.name }, 'reload failed, old state kept');
    }
  }
}

interface Closing {
  readonly errors: readonly unknown[];
  readonly inTime: boolean;
}

async function closeAll(services: readonly Service[], drainMs: number, log: Logger): Promise<Closing> {
  const errors: unknown[] = [];
  let closing = '';
  let over = false;
  const closeInTurn = async (): Promise<boolean> => {
    for (const service of services.toReversed()) {
      // After the timer nobody waits, but every service is still told to close.
      closing = service.name;
      log.debug({ service: service.name }, 'service closing');
      try {
        await service.close();
      } catch (error) {
        if (over) log.error({ err: error, service: service.name }, 'service not closed cleanly');
        errors.push(error);
      }
    }
    return true;
  };
  let cancel = (): void => {};
  const timeUp = new Promise<boolean>(resolve => {
    cancel = startTimer(drainMs, () => resolve(false));
  });
  const inTime = await Promise.race([closeInTurn(), timeUp]);
  cancel();
  if (!inTime) {
    over = true;
    log.warn({ service: closing, drainMs }, 'drain timer ended');
  }
  return { errors, inTime };
}

function finish(closing: Closing): number {
  if (closing.errors.length > 0) {
    const cause = new AggregateError(closing.errors, closing.errors.map(messageOf).join('; '));
    throw new DaemonError('ERR_DAEMON_CLOSE', 'not everything closed cleanly', { cause });
  }
  return closing.inTime ? 0 : 1;
}

function isAbort(error: unknown, signal: AbortSignal): boolean {
  if (error === signal.reason) return true;
  return (error instanceof Error && error.name === 'AbortError') || codeOf(error) === 'ABORT_ERR';
}

function isCloseError(error: unknown): boolean {
  return error instanceof DaemonError && error.code === 'ERR_DAEMON_CLOSE';
}
