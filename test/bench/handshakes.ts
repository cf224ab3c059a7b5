// SPDX-License-Identifier: Apache-2.0
// Full mutual TLS 1.3 handshakes against each back half: how many a second, and what each costs the server in CPU.
import { fileURLToPath } from 'node:url';
import type { Measure } from './ground.js';
import { cpuUs, Samples, tickedCpuUs } from './measure.js';
import { inTurn } from './pairs.js';
import { listening } from './processes.js';
import { row } from './report.js';

const client = fileURLToPath(new URL('handshake-client.mjs', import.meta.url));

export const handshakeFigures: Measure = async ({ programs, ground, sides, rounds, seconds }) => {
  const count = Math.max(20, Math.round(400 * Math.min(1, seconds)));
  const servers = [];
  for (const side of sides.filter(candidate => candidate.acceptsMany)) {
    const place = await ground.place(`handshake-${side.name.replaceAll(' ', '-')}`);
    const program = side.startBack(programs, place);
    await listening({ host: '127.0.0.1', port: place.port });
    servers.push({ name: side.name, place, program, used: side.threads === true ? tickedCpuUs : cpuUs });
  }
  const perSecond = new Samples();
  const cpu = new Samples();
  // The first round warms up and does not count.
  for (let round = -1; round < rounds; round += 1) {
    for (const { name, place, program, used } of inTurn(servers, Math.max(0, round))) {
      const before = used(program.pid);
      const args = [
        `-dial=127.0.0.1:${place.port}`,
        `-count=${count}`,
        `-name=${place.serverName}`,
        `-cert=${place.client.cert}`,
        `-key=${place.client.key}`,
        `-ca=${place.ca}`,
      ];
      const answer =
        ground.goProgram === null
          ? await programs.answerOf(process.execPath, [client, ...args])
          : await programs.answerOf(ground.goProgram, ['handshakes', ...args]);
      if (round < 0) continue;
      perSecond.add(name, count / (answer['seconds'] ?? Number.NaN));
      cpu.add(name, (used(program.pid) - before) / count);
    }
  }
  for (const { program } of servers) await programs.end(program);
  return [
    row('handshakes, one after another', 'handshakes/s', true, perSecond),
    row('CPU of the server per handshake', 'µs', false, cpu),
  ];
};
