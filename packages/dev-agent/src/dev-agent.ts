// SPDX-License-Identifier: Apache-2.0
// The agent as a service: a Unix socket, the ttrpc server behind it, the sandbox behind that. Reads no flags.
import { realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { deadline, makeDirectory } from '@peerpod-tls/base';
import { listenUnixSocket, type Service, type UnixListener } from '@peerpod-tls/daemon';
import { StatusCode, StatusError, TtrpcServer } from '@peerpod-tls/ttrpc';
import type { Logger } from 'pino';
import { agentServices } from './agent-handlers.js';
import { RunDirectory } from './run-directory.js';
import { Sandbox } from './sandbox.js';

interface DevAgentOptions {
  /** Path of the Unix socket to serve on. */
  readonly socket: string;
  /** Directory that stands for the guest's `/`; made if it is missing. Default `/`. */
  readonly root?: string;
  /** Leave the socket where it is when a sandbox is created. See run-directory.ts. Default false. */
  readonly keepSocket?: boolean;
  /** Called once the sandbox was destroyed: kata-agent ends then. Left out: the agent goes on and takes another one. */
  readonly onSandboxEnd?: () => void;
  readonly log: Logger;
  /** Environment to hand the few variables on from. Default: this process's. */
  readonly env?: NodeJS.ProcessEnv;
}

/** How long calls may take to end once everything they wait for is dead, in milliseconds. */
const DRAIN_MS = 1000;
/** How long processes may take to die when the agent ends, in milliseconds. */
const KILL_MS = 5000;

/** A running agent. */
interface DevAgent {
  readonly socket: string;
  /** Ends every process it started, answers the calls that waited for them, closes the socket. */
  close(): Promise<void>;
}

/**
 * Starts the agent.
 * @throws DaemonError of the socket; the system's error for a root that cannot be made
 */
async function startDevAgent(options: DevAgentOptions): Promise<DevAgent> {
  const { log } = options;
  const given = options.root ?? '/';
  makeDirectory(given, 0o755);
  const root = realpathSync(given);
  const keepSocket = options.keepSocket ?? false;
  const runDirectory = new RunDirectory({ root, socket: resolve(options.socket), keepSocket, log });
  const sandbox = new Sandbox(log);
  const ending = new AbortController();
  const server = new TtrpcServer({
    services: agentServices({
      sandbox,
      runDirectory,
      root,
      env: options.env ?? process.env,
      ending: ending.signal,
      // On a later turn, so that the one who asked for it is answered.
      sandboxEnded: () => setImmediate(() => options.onSandboxEnd?.()),
      log,
    }),
    log,
  });
  const listener: UnixListener = await listenUnixSocket({
    path: options.socket,
    onConnection: socket => server.serve(socket),
    log,
  });
  log.warn({ socket: listener.path, root }, 'agent started without isolation');
  const close = async (): Promise<void> => {
    await listener.close();
    ending.abort(new StatusError(StatusCode.unavailable, 'the agent ends'));
    try {
      await sandbox.destroy(Date.now() + KILL_MS);
    } finally {
      using patience = deadline(DRAIN_MS);
      await server.drain(patience);
      server.destroy();
    }
  };
  return { socket: listener.path, close };
}

/** The agent as runServices takes it. */
export function devAgentService(options: DevAgentOptions): Service {
  let agent: DevAgent | null = null;
  return {
    name: 'dev-agent',
    async start() {
      agent = await startDevAgent(options);
    },
    async close() {
      await agent?.close();
    },
  };
}
