// SPDX-License-Identifier: Apache-2.0
// The real program on a Unix socket of its own, and a client of it. Everything is gone when the test ends.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { agentService, healthService } from '@peerpod-tls/agent-protocol';
import { clientOf, connectUnix, type TtrpcClient, type TypedClient } from '@peerpod-tls/ttrpc';
import type { Test } from 'tap';

const bin = fileURLToPath(new URL('../bin/peerpod-dev-agent.js', import.meta.url));

/** The argv of env(1). It takes the test runner's loaders away: they are slow and write files another user may not. */
export const plainNode = ['-u', 'NODE_OPTIONS', process.execPath, bin] as const;

export interface RunningAgent {
  readonly agent: TypedClient<typeof agentService>;
  readonly health: TypedClient<typeof healthService>;
  readonly client: TtrpcClient;
  readonly child: ChildProcess;
  readonly socket: string;
  /** Stands for the guest's root. */
  readonly root: string;
  /** Log lines so far. */
  readonly log: readonly Record<string, unknown>[];
  connect(): Promise<TtrpcClient>;
}

/**
 * @param user whom to run the agent as, when the test is root's
 * @param flags further flags of the program
 */
export async function startAgent(
  t: Test,
  env: NodeJS.ProcessEnv = {},
  user?: number,
  flags: readonly string[] = [],
): Promise<RunningAgent> {
  const directory = mkdtempSync(join(tmpdir(), 'dev-agent-'));
  if (user !== undefined) chownSync(directory, user, user);
  const socket = join(directory, 'agent.sock');
  const root = join(directory, 'root');
  const child = spawn('env', [...plainNode, '-socket', socket, '-root', root, ...flags], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'pipe'],
    ...(user !== undefined && { uid: user, gid: user }),
  });
  const clients: TtrpcClient[] = [];
  t.teardown(async () => {
    for (const client of clients) client.close();
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
    rmSync(directory, { recursive: true, force: true });
  });
  const log: Record<string, unknown>[] = [];
  const started = new Promise<void>((resolve, reject) => {
    child.once('exit', code => reject(new Error(`the agent ended with ${code}`)));
    createInterface({ input: child.stderr }).on('line', line => {
      const entry: unknown = JSON.parse(line);
      if (typeof entry !== 'object' || entry === null) return;
      log.push({ ...entry });
      if ('msg' in entry && entry.msg === 'agent started without isolation') resolve();
    });
  });
  await started;
  const connect = async (): Promise<TtrpcClient> => {
    const client = await connectUnix(socket);
    clients.push(client);
    return client;
  };
  const client = await connect();
  const agent = clientOf(agentService, client);
  return { agent, health: clientOf(healthService, client), client, child, socket, root, log, connect };
}

/** Creates and starts a container that runs a shell script. */
export async function runScript(
  agent: RunningAgent['agent'],
  containerId: string,
  script: string,
  env: readonly string[] = [],
): Promise<void> {
  const Process = { Args: ['/bin/sh', '-c', script], Env: [...env], Cwd: '/' };
  await agent.CreateContainer({ containerId, execId: containerId, OCI: { Process } });
  await agent.StartContainer({ containerId });
}

/** Everything a process writes, until the end of its output. */
export async function readAll(
  read: RunningAgent['agent']['ReadStdout'],
  containerId: string,
  execId = containerId,
): Promise<string> {
  const pieces: Uint8Array[] = [];
  for (;;) {
    try {
      pieces.push((await read({ containerId, execId, len: 32_768 })).data);
    } catch (error) {
      if (error instanceof Error && error.message === 'read meet eof')
        return Buffer.concat(pieces).toString();
      throw error;
    }
  }
}

/** Numbers of the living processes whose command line has `text` in it. */
export function findProcesses(text: string): number[] {
  return readdirSync('/proc')
    .filter(name => /^[0-9]+$/.test(name))
    .filter(name => {
      try {
        const state = readFileSync(`/proc/${name}/stat`, 'utf8').split(') ')[1]?.[0];
        return state !== 'Z' && readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(text);
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** What a call that ends with a status rejects with. */
export function status(status: number, message: RegExp = /./): { status: number; message: RegExp } {
  return { status, message };
}

/** Looks again until it is so. A condition that never comes true ends with the test's own time limit. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setTimeout(5);
}
