// SPDX-License-Identifier: Apache-2.0
// The program: read the command line, make the log, run the proxy until a signal ends it, or it has nothing left to do.
import { createLogger, reportError, runServices } from '@peerpod-tls/daemon';
import { PROXY_PROGRAM } from './control/index.js';
import { readOptions, type ProxyOptions } from './options.js';
import { ProxyServer } from './server/proxy-server.js';

/** The part of the drain that is left for last answers, in milliseconds. */
const CLOSING_MS = 2000;

/** Runs the program to its end. Returns the exit code: 0, or 1 when it could not start or drain in time. */
export async function main(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  try {
    const invocation = readOptions(argv, env);
    if (invocation.t === 'serve') return await serve(invocation.options, env);
    process.stdout.write(invocation.text);
    return 0;
  } catch (error) {
    reportError(process.stderr, PROXY_PROGRAM, error);
    return 1;
  }
}

async function serve(options: ProxyOptions, env: NodeJS.ProcessEnv): Promise<number> {
  const { logLevel, logFormat, drainMs } = options;
  const log = createLogger({ name: PROXY_PROGRAM, level: logLevel, format: logFormat });
  const proxy = new ProxyServer({
    ...options,
    // As if somebody had sent it: there is one way to end.
    onEnd: () => void process.emit('SIGTERM', 'SIGTERM'),
    log,
  });
  return runServices({ services: [proxy], log, drainMs: drainMs + CLOSING_MS, env });
}
