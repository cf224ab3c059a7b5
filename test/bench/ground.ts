// SPDX-License-Identifier: Apache-2.0
// What every measurement stands on: a folder, an authority with one server and one client leaf, an echo agent, and the
// Go program where there is a Go toolchain.
import { Authority } from '@peerpod-tls/certs';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Place } from './peers.js';
import { installed, listening, typescriptProgram, type Programs } from './processes.js';

export interface Ground {
  readonly folder: string;
  readonly goProgram: string | null;
  readonly agentSocket: string;
  /** A place of its own for a pair: own port, own shim socket, shared certificates. */
  place(name: string): Promise<Place>;
  remove(): void;
}

export interface Options {
  readonly rounds: number;
  /** Length of one load, in seconds. */
  readonly seconds: number;
}

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

function buildGo(folder: string): string | null {
  if (!installed('go', 'version')) return null;
  const program = join(folder, 'bench-go');
  const built = spawnSync('go', ['build', '-o', program, '.'], {
    cwd: join(here, 'go'),
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return built.status === 0 ? program : null;
}

/** The command that plays the shim or the agent: Go's ttrpc where it is there, else ours. */
export function ttrpcProgram(
  ground: { readonly goProgram: string | null },
  role: 'agent' | 'load',
): readonly [string, ...string[]] {
  if (ground.goProgram !== null) return [ground.goProgram, role];
  return typescriptProgram(join(here, `node-${role}.ts`));
}

export async function makeGround(programs: Programs): Promise<Ground> {
  const folder = mkdtempSync(join(tmpdir(), 'pp-bench-'));
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
  const [program, ...args] = ttrpcProgram({ goProgram }, 'agent');
  programs.start(program, [...args, `-socket=${agentSocket}`]);
  await listening({ path: agentSocket });
  return {
    folder,
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
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
