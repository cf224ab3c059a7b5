// SPDX-License-Identifier: Apache-2.0
// From exec to listening, for each back half.
import type { Measure } from './ground.js';
import { cpuUs, Samples } from './measure.js';
import { inTurn } from './pairs.js';
import { listening } from './processes.js';
import { row } from './report.js';

export const startFigures: Measure = async ({ programs, ground, sides, rounds }) => {
  const wall = new Samples();
  const cpu = new Samples();
  for (let round = 0; round < rounds * 2; round += 1) {
    for (const side of inTurn(sides, round)) {
      const place = await ground.place(`start-${side.name.replaceAll(' ', '-')}-${round}`);
      const begun = performance.now();
      const program = side.startBack(programs, place);
      await listening({ host: '127.0.0.1', port: place.port });
      wall.add(side.name, performance.now() - begun);
      cpu.add(side.name, cpuUs(program.pid) / 1000);
      await programs.end(program);
    }
  }
  return [
    row('from exec to listening', 'ms', false, wall),
    row('from exec to listening: CPU', 'ms', false, cpu),
  ];
};
