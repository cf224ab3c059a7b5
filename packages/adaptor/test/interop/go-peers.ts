// SPDX-License-Identifier: Apache-2.0
// The two Go programs of this folder, built once per run, and a world to run them in: an adaptor whose pod VMs are the
// Go forwarder, with one agent behind it.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Test } from 'tap';
import { buildGoProgram } from '../../../../test/kit/go-program.js';
import { eventually } from '../kit/adaptor.js';
import { ownProcesses } from '../../../../test/kit/directory.js';

const runFile = promisify(execFile);
const HERE = fileURLToPath(new URL('.', import.meta.url));

export interface GoPeers {
  /** A pod VM in Go. */
  readonly forwarder: string;
  /** Kata's own shim code: `pod`, `sandbox`, `lose` and `cgroup`. */
  readonly shim: string;
}

export async function ran(program: string, ...args: readonly string[]): Promise<string> {
  return (await runFile(program, args, { cwd: HERE, timeout: 280_000, maxBuffer: 1 << 26 })).stdout;
}

/** Builds both, or says why they cannot be had on this machine. The first build takes about two minutes of CPU. */
export async function buildPeers(directory: string): Promise<GoPeers | { readonly reason: string }> {
  const forwarder = buildGoProgram(HERE, path.join(directory, 'forwarder'), './forwarder');
  if ('reason' in forwarder) return forwarder;
  const shim = buildGoProgram(HERE, path.join(directory, 'shim'), './shim');
  return 'reason' in shim ? shim : { forwarder: forwarder.program, shim: shim.program };
}

export interface PeerWorld {
  readonly directory: string;
  readonly socket: string;
  /** Where the Go forwarders keep their instances: one folder each. */
  readonly machines: string;
  /** Flags of an adaptor whose pod VMs are the Go forwarder, started with `options`. */
  adaptor(options?: readonly string[], flags?: readonly string[]): string[];
}

/** An agent that really runs processes, and the flags of an adaptor whose machines hand their calls to it. */
export async function makePeerWorld(t: Test, peers: GoPeers, port: number): Promise<PeerWorld> {
  const directory = realpathSync(mkdtempSync(path.join(tmpdir(), 'gp-')));
  const agentSocket = path.join(directory, 'agent.sock');
  const bin = path.join(HERE, '../../../dev-agent/bin/peerpod-dev-agent.js');
  const root = path.join(directory, 'fs');
  // The test runner puts itself into NODE_OPTIONS of whatever is started: not here.
  const agent = spawn(
    'env',
    ['-u', 'NODE_OPTIONS', process.execPath, bin, '-socket', agentSocket, '-root', root],
    { stdio: 'ignore' },
  );
  const machines = path.join(directory, 'machines');
  t.teardown(async () => {
    for (const id of existsSync(machines) ? readdirSync(machines) : [])
      await ran(peers.forwarder, 'delete', machines, id);
    agent.kill('SIGTERM');
    if (agent.exitCode === null && agent.signalCode === null) await once(agent, 'exit');
    rmSync(directory, { recursive: true, force: true });
  });
  ownProcesses(t, directory);
  if (!(await eventually(() => existsSync(agentSocket), 20_000))) throw new Error('the agent did not start');
  const socket = path.join(directory, 'h.sock');
  return {
    directory,
    socket,
    machines,
    adaptor: (options = [], flags = []) => [
      'exec',
      `-create-command=${[peers.forwarder, 'create', machines, '-kata-agent-socket', agentSocket, ...options].join(' ')}`,
      `-delete-command=${peers.forwarder} delete ${machines}`,
      `-socket=${socket}`,
      `-pods-dir=${path.join(directory, 'pods')}`,
      `-data-dir=${path.join(directory, 'table')}`,
      `-forwarder-port=${port}`,
      '-status-address=127.0.0.1:0',
      '-proxy-timeout=30s',
      '-drain-timeout=5s',
      ...flags,
    ],
  };
}

/** What becomes of a process in a container. */
export interface Ended {
  readonly output: string;
  readonly errors: string;
  readonly code: number;
}

/** What becomes of a pod that kata's own sandbox code runs; the fields of steps that were not taken are empty. */
export interface SandboxOutcome {
  readonly worked: Ended;
  readonly entered: Ended;
  /** Wait statuses of a process that got SIGTERM, and of the pod's first one, which got SIGKILL. */
  readonly signalled: number;
  readonly killed: number;
  readonly processes: number;
  readonly interfaces: number;
  readonly metrics: boolean;
  readonly states: readonly string[] | null;
  /** What kata's watcher said, and what a call that waits was answered, when the VM was lost. */
  readonly watcher: string;
  readonly waiting: string;
  /** Files that stayed of kata's record of the sandbox. */
  readonly left: readonly string[];
  readonly failure: string;
}

/** Kata keeps its sandboxes below /run: here in a mount namespace with a /run of its own, which goes with the program. */
const OWN_RUN = [
  '-m',
  '--propagation',
  'private',
  'sh',
  '-c',
  'mount -t tmpfs tmpfs /run && exec "$@"',
  'sh',
];

/** Why kata's sandbox code cannot run here, or an empty string. */
export async function whyNoSandbox(peers: GoPeers): Promise<string> {
  if (process.geteuid?.() !== 0) return "kata's sandboxes need root";
  try {
    await ran('unshare', ...OWN_RUN, peers.shim, 'cgroup', `ppt-${process.pid}-try`);
    return '';
  } catch (error) {
    return `no sandbox can have its mount namespace and cgroup here: ${String(error).trim()}`;
  }
}

/**
 * Runs one pod with kata's sandbox code: `sandbox` with a script for a second container, or `lose`.
 * @param up called when a pod of `lose` runs
 */
export async function runSandbox(
  peers: GoPeers,
  directory: string,
  args: readonly ['sandbox', pod: string, script: string] | readonly ['lose' | 'fail', pod: string],
  up: () => void = () => undefined,
): Promise<SandboxOutcome> {
  const [mode, ...rest] = args;
  const words = [peers.shim, mode, path.join(directory, 'h.sock'), path.join(directory, 'bundles'), ...rest];
  const running = runFile('unshare', [...OWN_RUN, ...words], { timeout: 120_000, maxBuffer: 1 << 26 });
  running.child.stdout?.on('data', (text: string) => {
    if (text.startsWith('up\n')) up();
  });
  return JSON.parse((await running).stdout.replace(/^up\n/, ''));
}

/** What a pod that was kept in use came to; keep.go says what each is. */
export interface KeptOutcome {
  readonly echoed: number;
  readonly polls: number;
  readonly commands: number;
  readonly code: number;
  readonly killed: number;
  readonly slowest: number;
  readonly left: readonly string[];
  readonly failure: string;
}

export interface KeptPod {
  /** Resolves when the pod is in use; rejects with its outcome when it never is. */
  readonly up: Promise<void>;
  /** Has kata end the pod, and says what came of it. */
  end(): Promise<KeptOutcome>;
}

/** Has kata's sandbox code start a pod and use it in every way at once. */
export function keepSandbox(t: Test, peers: GoPeers, directory: string, pod: string): KeptPod {
  const words = [peers.shim, 'keep', path.join(directory, 'h.sock'), path.join(directory, 'bundles'), pod];
  const child = spawn('unshare', [...OWN_RUN, ...words], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  let said = '';
  const ended = once(child, 'close');
  const up = new Promise<void>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      if (said.startsWith('up\n')) resolve();
    });
    void ended.then(() => reject(new Error(`the pod was never in use: ${said}`)));
  });
  up.catch(() => {});
  return {
    up,
    end: async () => {
      child.stdin.end();
      await ended;
      return JSON.parse(said.replace(/^up\n/, ''));
    },
  };
}

/** The cgroups that kata's sandboxes of this name have, of both versions. */
export const cgroupsOf = async (pod: string): Promise<string> =>
  ran('find', '/sys/fs/cgroup', '-name', `kata_${pod}*`);

export interface ShimOutcome {
  readonly serving: boolean;
  readonly agent: string;
  readonly output: string;
  readonly exitCode: number;
  readonly oomBlocks: boolean;
  readonly stopped: boolean;
  /** Where it failed; both empty when it did not. */
  readonly step: string;
  readonly failure: string;
}

/** Runs one pod with one shell command in it, as kata's shim does. */
export async function runPod(
  peers: GoPeers,
  socket: string,
  pod: string,
  script: string,
): Promise<ShimOutcome> {
  return JSON.parse(await ran(peers.shim, 'pod', socket, pod, script));
}
