// SPDX-License-Identifier: Apache-2.0
// Who takes part: this project and the pumps under each Node release, an older commit where one is asked for, and the
// peers of this machine. And how long all of it will take, roughly.
import { spawnSync } from 'node:child_process';
import type { Checkout } from './against.js';
import type { Asked, Measurement } from './command-line.js';
import type { Ground } from './ground.js';
import { ownRoot, project, pump, type NodeRelease } from './ours.js';
import { peersHere, type Peer } from './peers.js';

/** Asks each binary for its release; throws a sentence for one that is no Node. */
export function releasesOf(bins: readonly string[]): NodeRelease[] {
  return bins.map(bin => {
    const asked = spawnSync(bin, ['--version'], { encoding: 'utf8' });
    const version = /^v\d+\.\d+\.\d+\S*$/m.exec(asked.stdout ?? '')?.[0];
    if (version === undefined)
      throw new TypeError(`--node is ${JSON.stringify(bin)}, which does not answer --version as Node does`);
    return { bin, version, suffix: bins.length > 1 ? ` ${version}` : '' };
  });
}

export function sidesOf(
  nodes: readonly NodeRelease[],
  before: Checkout | null,
  ground: Pick<Ground, 'goProgram'>,
): { readonly sides: Peer[]; readonly missing: string[] } {
  const { peers, missing } = peersHere(ground.goProgram);
  const own = nodes.flatMap(node => [
    project('ours', ownRoot, node),
    ...(before === null ? [] : [project('before', before.root, node)]),
    pump('pipe', node),
    pump('onread', node),
  ]);
  return {
    sides: [
      ...own.filter(side => side.name.startsWith('ours')),
      ...own.filter(side => !side.name.startsWith('ours')),
      ...peers,
    ],
    missing,
  };
}

/** Columns of the table for one Node release: its own sides first, then what is no Node program. */
export function columnsOf(sides: readonly Peer[], node: NodeRelease): string[] {
  return [
    ...sides.filter(side => side.node === node.version).map(side => side.name),
    'no proxy',
    ...sides.filter(side => side.node === null).map(side => side.name),
    'Go x509',
  ];
}

/** Seconds a measurement takes, found by measuring on two cores of a virtual machine. */
const cost: Readonly<Record<Measurement, (asked: Asked, sides: number, own: number) => number>> = {
  throughput: ({ rounds, seconds }, sides) => (sides + 1) * (6 * 0.75 + rounds * 6 * (seconds * 1.25 + 0.03)),
  growth: ({ rounds, seconds }, sides) =>
    (sides + 1) * (0.7 + Math.min(rounds, 2) * 9 * (seconds * 0.25 + 0.03)),
  delay: ({ rounds, seconds }, _sides, own) => own * (Math.min(rounds, 2) + 1) * 6 * (seconds * 1.25 + 0.05),
  handshakes: ({ rounds, seconds }, sides) => (rounds + 1) * sides * Math.min(1, seconds) * 1.2,
  links: ({ rounds }, sides) => sides * (Math.min(rounds, 2) * 9 + 16),
  sandboxes: ({ rounds, seconds }, sides) => sides * Math.min(rounds, 2) * (2.5 + seconds * 1.7),
  threads: ({ rounds, seconds }, _sides, own) =>
    Math.ceil(own / 3) * Math.min(rounds, 5) * 2 * (4 * (seconds * 1.4 + 0.1) + seconds * 2),
  records: ({ rounds }, _sides, own) => rounds * own * 1.5,
  start: ({ rounds }, sides) => rounds * 2 * sides * 0.15,
  issuing: ({ rounds, seconds }) => rounds * Math.min(1, seconds) * 1.2,
};

export function expectedSeconds(asked: Asked, sides: readonly Peer[]): number {
  const own = sides.filter(side => side.node !== null).length;
  return asked.only.reduce((sum, name) => sum + cost[name](asked, sides.length, own), sides.length);
}
