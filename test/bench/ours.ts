// SPDX-License-Identifier: Apache-2.0
// The sides that are Node programs: this project of a checkout (its bundled forwarder and proxy), and the bare pumps that say
// what the least possible Node program costs.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { frontFlags } from './our-front.js';
import { config, type Peer, type Place } from './peers.js';
import type { Program, Programs } from './processes.js';

const here = fileURLToPath(new URL('.', import.meta.url));
export const ownRoot = fileURLToPath(new URL('../..', import.meta.url));

/** A Node binary with its release, and what the names of its sides end in. */
export interface NodeRelease {
  readonly bin: string;
  readonly version: string;
  readonly suffix: string;
}

const PROXY = 'bundle/agent-protocol-proxy.cjs';
/** In checkouts from before the proxy was a program: its data plane in one of the bench's own. */
const OLDER_FRONT = 'test/bench/our-front.mjs';

/** How Node sides are started beside what every side is. */
export interface Launch {
  readonly flags?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

const placeFile = (place: Place, name: string): string =>
  config(place, `${name}.json`, JSON.stringify(place));

/** The first of some files that a checkout has; throws when it has none. */
function fileOf(root: string, ...candidates: readonly string[]): string {
  const found = candidates.map(file => join(root, file)).find(existsSync);
  if (found === undefined) throw new Error(`${root} has none of ${candidates.join(', ')}: is it built?`);
  return found;
}

/** A bundled program, by whatever name this checkout gives its bundles. */
export const bundled = (root: string, program: string): string =>
  fileOf(root, ...['cjs', 'mjs', 'js'].map(ending => `bundle/${program}.${ending}`));

const hasProxy = (root: string): boolean => existsSync(join(root, PROXY));

/** Flags of Node that the first line of a checkout's bundles starts them with; both halves are run with them. */
function flagsOf(root: string): readonly string[] {
  const [first = ''] = readFileSync(bundled(root, 'agent-protocol-forwarder'), 'utf8').split('\n', 1);
  return first
    .split(' ')
    .slice(1)
    .filter(word => word.startsWith('--'));
}

/** This project as a checkout has it, under one Node release. */
export function project(name: string, root: string, node: NodeRelease, launch: Launch = {}): Peer {
  const start = (programs: Programs, args: readonly string[]): Program =>
    programs.start(node.bin, [...flagsOf(root), ...(launch.flags ?? []), ...args], { env: launch.env ?? {} });
  return {
    name: name + node.suffix,
    node: node.version,
    acceptsMany: true,
    manySockets: hasProxy(root) || readFileSync(fileOf(root, OLDER_FRONT), 'utf8').includes('moreSockets'),
    launchedWith: other => project(name, root, node, other),
    project: { root, node },
    startBack: (programs, place) =>
      start(programs, [
        bundled(root, 'agent-protocol-forwarder'),
        '-config',
        config(
          place,
          'apf.json',
          JSON.stringify({ 'pod-network': {}, 'pod-namespace': 'bench', 'pod-name': 'bench' }),
        ),
        '-listen',
        `127.0.0.1:${place.port}`,
        '-kata-agent-socket',
        place.agentSocket,
        '-pod-namespace=',
        '-cert-file',
        place.server.cert,
        '-cert-key',
        place.server.key,
        '-ca-cert-file',
        place.ca,
        '-max-links',
        '8192',
      ]),
    startFront: (programs, place) =>
      start(
        programs,
        hasProxy(root)
          ? [join(root, PROXY), ...frontFlags(place)]
          : [fileOf(root, OLDER_FRONT), 'front', placeFile(place, 'front')],
      ),
  };
}

/** The byte pumps: `pipe` as anybody would write it, and the best that Node's public interface allows. */
export function pump(kind: 'pipe' | 'onread', node: NodeRelease, launch: Launch = {}): Peer {
  const start =
    (half: string) =>
    (programs: Programs, place: Place): Program =>
      programs.start(
        node.bin,
        [...(launch.flags ?? []), join(here, 'pump.mjs'), half, placeFile(place, `pump-${half}`), kind],
        { env: launch.env ?? {} },
      );
  return {
    name: (kind === 'pipe' ? 'node-pump' : 'node-onread') + node.suffix,
    node: node.version,
    acceptsMany: true,
    manySockets: true,
    launchedWith: other => pump(kind, node, other),
    startBack: start('back'),
    startFront: start('front'),
  };
}
