// SPDX-License-Identifier: Apache-2.0
// What every measurement stands on: a folder, an authority with one server and one client leaf, an echo agent, and the
// programs in C and Go where there is a compiler for them.
import { Authority } from '@peerpod-tls/certs';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NodeRelease } from './ours.js';
import type { Peer, Place } from './peers.js';
import { installed, listening, typescriptProgram, type Programs } from './processes.js';
import type { Row } from './report.js';

export interface Ground {
  readonly folder: string;
  readonly cProgram: string | null;
  readonly goProgram: string | null;
  readonly agentSocket: string;
  /** A place of its own for a pair: own port, own shim socket, shared certificates. */
  place(name: string): Promise<Place>;
}

/** Everything a measurement gets. */
export interface Bench {
  readonly programs: Programs;
  readonly ground: Ground;
  /** Everybody who takes part; the first is ours under the first Node release. */
  readonly sides: readonly Peer[];
  readonly nodes: readonly NodeRelease[];
  readonly rounds: number;
  /** Length of one load, in seconds. */
  readonly seconds: number;
  /** Says what was left out, and why. */
  note(text: string): void;
}

export type Measure = (bench: Bench) => Promise<Row[]>;

const here = fileURLToPath(new URL('.', import.meta.url));

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise(resolve => server.once('listening', resolve));
  const address = server.address();
  await new Promise(resolve => server.close(resolve));
  if (address === null || typeof address === 'string')
    throw new Error('internal error: a TCP server without a port');
  return address.port;
}

function build(what: string, program: string, args: readonly string[], cwd: string): boolean {
  const built = spawnSync(program, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'] });
  if (built.status !== 0)
    process.stderr.write(`bench: the ${what} programs were not built, and are left out\n`);
  return built.status === 0;
}

function buildC(folder: string): string | null {
  if (process.platform !== 'linux' || !installed('cc', '--version')) return null;
  const program = join(folder, 'bench-c');
  const sources = readdirSync(join(here, 'c')).filter(name => name.endsWith('.c'));
  return build('C', 'cc', ['-std=gnu11', '-O2', '-o', program, ...sources], join(here, 'c')) ? program : null;
}

function buildGo(folder: string): string | null {
  if (!installed('go', 'version')) return null;
  const program = join(folder, 'bench-go');
  return build('Go', 'go', ['build', '-o', program, '.'], join(here, 'go')) ? program : null;
}

/** The command that plays the shim or the agent: the cheap one in C, else Go's ttrpc, else ours. */
export function ttrpcProgram(
  ground: Pick<Ground, 'cProgram' | 'goProgram'>,
  role: 'agent' | 'load',
): readonly [string, ...string[]] {
  const built = ground.cProgram ?? ground.goProgram;
  return built === null ? typescriptProgram(join(here, `node-${role}.ts`)) : [built, role];
}

/** In words, who plays load and agent. */
export function loadInWords(ground: Pick<Ground, 'cProgram' | 'goProgram'>): string {
  if (ground.cProgram !== null) return 'our own in C';
  const dear =
    'there was no C compiler, and these cost more than what they measure, which pulls all ratios towards 1';
  if (ground.goProgram !== null) return `containerd/ttrpc in Go (${dear})`;
  return `our own ttrpc client and server (${dear})`;
}

/** `onRemove` gets what undoes it, before anything is done. */
export async function makeGround(
  programs: Programs,
  onRemove: (remove: () => void) => void,
): Promise<Ground> {
  const folder = mkdtempSync(join(tmpdir(), 'pp-bench-'));
  onRemove(() => rmSync(folder, { recursive: true, force: true }));
  const cProgram = buildC(folder);
  const goProgram = buildGo(folder);
  const serverName = 'podvm-bench-00000000';
  const authority = await Authority.create();
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    return join(folder, name);
  };
  const pair = async (profile: 'server' | 'client'): Promise<Place['server']> => {
    const issued = await authority.issue(profile, {
      names: [profile === 'server' ? serverName : 'bench-client'],
    });
    return {
      cert: file(`${profile}.crt`, issued.certPem),
      key: file(`${profile}.key`, issued.keyPem),
      both: file(`${profile}.pem`, issued.certPem + issued.keyPem),
    };
  };
  const shared = {
    ca: file('ca.crt', authority.certPem),
    server: await pair('server'),
    client: await pair('client'),
  };
  const agentSocket = join(folder, 'agent.sock');
  const [program, ...args] = ttrpcProgram({ cProgram, goProgram }, 'agent');
  programs.start(program, [...args, `-socket=${agentSocket}`]);
  await listening({ path: agentSocket });
  return {
    folder,
    cProgram,
    goProgram,
    agentSocket,
    place: async name => ({
      folder,
      shimSocket: join(folder, `${name}.sock`),
      port: await freePort(),
      agentSocket,
      serverName,
      ...shared,
    }),
  };
}
