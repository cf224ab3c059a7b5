// SPDX-License-Identifier: Apache-2.0
// From exec to listening, for each back half.
import type { Ground, Options } from './ground.js';
import { figure } from './measure.js';
import type { Peer } from './peers.js';
import { listening, type Programs } from './processes.js';
import { row, type Row } from './report.js';

export async function startFigures(
  programs: Programs,
  ground: Ground,
  peers: readonly Peer[],
  options: Options,
): Promise<Row[]> {
  const samples = new Map<string, number[]>();
  for (let round = 0; round < options.rounds * 2; round += 1) {
    for (const peer of peers) {
      const place = await ground.place(`start-${peer.name}-${round}`);
      const begun = performance.now();
      const program = peer.startBack(programs, place);
      await listening({ host: '127.0.0.1', port: place.port });
      samples.set(peer.name, [...(samples.get(peer.name) ?? []), performance.now() - begun]);
      await programs.end(program);
    }
  }
  return [row('from exec to listening', 'ms', false, samples, figure)];
}
