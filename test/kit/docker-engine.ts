// SPDX-License-Identifier: Apache-2.0
// A Docker Engine for tests: the machine's own where PEERPOD_TEST_DOCKER_HOST names one, else one started here, with its
// socket, images and networks in a temporary directory, so that nothing of the machine's own Docker is touched.
import { execFile, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const runFile = promisify(execFile);

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface TestEngine {
  /** For DOCKER_HOST and -docker-host. */
  readonly host: string;
  /** Path of the engine's socket. */
  readonly socket: string;
  /** A directory of the engine's own, removed with it. */
  readonly directory: string;
  /** Runs the docker program against this engine; a failure is a result. */
  docker(...args: readonly string[]): Promise<Ran>;
  close(): Promise<void>;
}

/** A dockerd that is installed and did not come up; the message ends with its own last words. */
class EngineAbsent extends Error {}

/** What `start` made, or why there can be no engine here: what is missing, or what dockerd said when it ended. */
export async function orReason<T>(start: () => Promise<T>): Promise<T | string> {
  const why = whyNoEngine();
  if (why !== '') return why;
  try {
    return await start();
  } catch (error) {
    if (error instanceof EngineAbsent) return error.message;
    throw error;
  }
}

/** Why there can be no engine here, as far as can be seen without starting one; empty when there can. */
export function whyNoEngine(): string {
  if ((process.env['PEERPOD_TEST_DOCKER_HOST'] ?? '') !== '') return '';
  if (process.platform !== 'linux') return 'a Docker Engine for tests needs Linux';
  if (process.geteuid?.() !== 0)
    return 'starting a Docker Engine needs root; or set PEERPOD_TEST_DOCKER_HOST';
  const missing = ['dockerd', 'docker'].filter(program => !inPath(program));
  return missing.length === 0
    ? ''
    : `${missing.join(' and ')} not installed (Debian: apt-get install docker.io iptables)`;
}

export function inPath(program: string): boolean {
  const folders = (process.env['PATH'] ?? '').split(':');
  return [...folders, '/usr/sbin', '/sbin'].some(folder => existsSync(path.join(folder, program)));
}

/** Runs a program to its end, whatever its exit code. Nothing of the test runner's loaders reaches it. */
export async function ran(
  command: string,
  args: readonly string[],
  o: { readonly env?: NodeJS.ProcessEnv; readonly cwd?: string; readonly timeoutMs?: number } = {},
): Promise<Ran> {
  try {
    // The test runner puts its loaders into NODE_OPTIONS of whatever is started; env takes them out again.
    const { stdout, stderr } = await runFile('env', ['-u', 'NODE_OPTIONS', command, ...args], {
      env: { ...process.env, ...o.env },
      cwd: o.cwd,
      timeout: o.timeoutMs ?? 120_000,
      maxBuffer: 64 << 20,
    });
    return { code: 0, stdout, stderr };
  } catch (error) {
    const of = (key: string): unknown =>
      typeof error === 'object' && error !== null ? Reflect.get(error, key) : undefined;
    const code = of('code');
    const text = (key: string): string => {
      const value = of(key);
      return typeof value === 'string' ? value : '';
    };
    return {
      code: typeof code === 'number' ? code : -1,
      stdout: text('stdout'),
      stderr: text('stderr') === '' ? String(error) : text('stderr'),
    };
  }
}

/**
 * Starts an engine, with further flags of dockerd's, and waits until it answers; or takes the one that is named.
 *
 * @throws EngineAbsent
 */
export async function startEngine(flags: readonly string[] = []): Promise<TestEngine> {
  const directory = mkdtempSync(path.join(tmpdir(), 'ppd-'));
  const named = process.env['PEERPOD_TEST_DOCKER_HOST'] ?? '';
  const host = named === '' ? `unix://${path.join(directory, 'd.sock')}` : named;
  const docker = (...args: readonly string[]): Promise<Ran> =>
    ran('docker', args, { env: { DOCKER_HOST: host, DOCKER_CONFIG: path.join(directory, 'config') } });
  let end = async (): Promise<void> => {};
  try {
    if (named === '') end = await startDaemon(directory, host, docker, flags);
  } catch (error) {
    // A daemon that fails leaves its data mounted on itself.
    await ran('umount', [path.join(directory, 'data')]);
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
  return {
    host,
    socket: host.replace(/^unix:\/\//, ''),
    directory,
    docker,
    close: async () => {
      await end();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function startDaemon(
  directory: string,
  host: string,
  docker: TestEngine['docker'],
  flags: readonly string[],
): Promise<() => Promise<void>> {
  const config = path.join(directory, 'daemon.json');
  const log = path.join(directory, 'dockerd.log');
  writeFileSync(config, '{}');
  const out = openSync(log, 'w');
  const places = ['--config-file', config, '--data-root', path.join(directory, 'data')];
  const running = [
    '--exec-root',
    path.join(directory, 'exec'),
    '--pidfile',
    path.join(directory, 'pid'),
    '-H',
    host,
  ];
  // No bridge and no rule of its own: the machine's network stays as it is, networks are made by the tests.
  const network = [
    '--bridge=none',
    '--iptables=false',
    '--ip6tables=false',
    '--ip-forward=false',
    '--ip-masq=false',
  ];
  const daemon = spawn('dockerd', [...places, ...running, ...network, ...flags], {
    stdio: ['ignore', out, out],
  });
  closeSync(out);
  const ended = new Promise<void>(resolve => {
    daemon.once('exit', () => resolve());
    daemon.once('error', () => resolve());
  });
  const gone = (): boolean => daemon.exitCode !== null || daemon.signalCode !== null;
  const end = async (): Promise<void> => {
    const { stdout } = await docker('ps', '-aq');
    const ids = stdout.split('\n').filter(id => id !== '');
    if (ids.length > 0) await docker('rm', '-f', '-v', ...ids);
    await docker('network', 'prune', '-f');
    daemon.kill('SIGTERM');
    if (!gone()) await ended;
  };
  for (let tries = 0; tries < 300; tries += 1) {
    if (gone()) break;
    if (existsSync(host.replace('unix://', '')) && (await docker('version')).code === 0) return end;
    await sleep(100);
  }
  daemon.kill('SIGKILL');
  if (!gone()) await ended;
  throw new EngineAbsent(`dockerd did not come up: ${lastOutput(readFileSync(log, 'utf8'))}`);
}

/** The line that says why, else the last one; a daemon that ends goes on to tell how it ends. */
function lastOutput(log: string): string {
  const lines = log.split('\n').filter(line => line.trim() !== '');
  const why = lines.findLast(line => /failed to start|level=(?:error|fatal)/.test(line)) ?? lines.at(-1);
  return (why ?? 'it said nothing').slice(-500);
}
