// SPDX-License-Identifier: Apache-2.0
// The program: read the command line, make the log, run the forwarder until a signal ends it.
import { codeOf, deadline, messageOf } from '@peerpod-tls/base';
import { createLogger, joinHostPort, reportError, runServices, UsageError } from '@peerpod-tls/daemon';
import type { ReadyDetails, Service } from '@peerpod-tls/daemon';
import type { Logger } from 'pino';

import { Counters } from './counters.js';
import { startForwarder } from './forwarder.js';
import type { Forwarder } from './forwarder.js';
import { PROGRAM, readOptions } from './options.js';
import type { ForwarderOptions } from './options.js';

/** The part of the drain that is left for closing sockets once calls were given up, in milliseconds. */
const CLOSING_MS = 500;

/** Runs the program to its end. Returns the exit code: 0, or 1 when it could not start or drain in time. */
export async function main(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  try {
    const invocation = readOptions(argv, env);
    if (invocation.t === 'serve') return await serve(invocation.options, env);
    process.stdout.write(invocation.text);
    return 0;
  } catch (error) {
    reportError(process.stderr, PROGRAM, error);
    return 1;
  }
}

async function serve(options: ForwarderOptions, env: NodeJS.ProcessEnv): Promise<number> {
  const log = createLogger({ name: PROGRAM, level: options.logLevel, format: options.logFormat });
  const counters = new Counters();
  const forwarder = new ForwarderService(options, log, counters);
  const services: Service[] = [forwarder];
  if (options.statusAddress !== undefined) {
    const { statusService } = await import('./status.js');
    services.push(statusService(options.statusAddress, () => forwarder.running, counters, log));
  }
  return runServices({ services, log, drainMs: options.drainMs + CLOSING_MS, env });
}

class ForwarderService implements Service {
  readonly name = 'forwarder';
  readonly #options: ForwarderOptions;
  readonly #log: Logger;
  readonly #counters: Counters;
  running: Forwarder | null = null;

  constructor(options: ForwarderOptions, log: Logger, counters: Counters) {
    this.#options = options;
    this.#log = log;
    this.#counters = counters;
  }

  async start(): Promise<void> {
    try {
      this.running = await startForwarder(this.#options, { log: this.#log, counters: this.#counters });
    } catch (error) {
      if (codeOf(error) !== 'ERR_LINK_LISTEN') throw error;
      throw new UsageError(
        `-listen: ${messageOf(error)}`,
        'give another address or port with -listen HOST:PORT',
      );
    }
    this.running.log.info(this.details(), 'forwarder listened');
  }

  details(): ReadyDetails {
    if (this.running === null) return {};
    return { address: joinHostPort(this.running.address.host, this.running.address.port) };
  }

  async reload(): Promise<void> {
    await this.running?.reload();
  }

  async close(): Promise<void> {
    using signal = deadline(this.#options.drainMs);
    await this.running?.close(signal);
  }
}
