// SPDX-License-Identifier: Apache-2.0
// Full mutual TLS 1.3 handshakes against each back half: how many a second, and what each costs the server in CPU.
import { fileURLToPath } from 'node:url';
import type { Ground, Options } from './ground.js';
import { cpuMs, figure } from './measure.js';
import type { Peer } from './peers.js';
import { answerOf, listening, type Programs } from './processes.js';
import { row, type Row } from './report.js';

const count = 400;
const client = fileURLToPath(new URL('handshake-client.mjs', import.meta.url));

export async function handshakeFigures(
  programs: Programs,
  ground: Ground,
  peers: readonly Peer[],
  options: Options,
): Promise<Row[]> {
  const servers = [];
  for (const peer of peers.filter(candidate => candidate.acceptsMany)) {
    const place = await ground.place(`handshake-${peer.name}`);
    const program = peer.startBack(programs, place);
    await listening({ host: '127.0.0.1', port: place.port });
    servers.push({ name: peer.name, place, program });
  }
  const perSecond = new Map<string, number[]>();
  const cpu = new Map<string, number[]>();
  for (let round = 0; round < options.rounds; round += 1) {
    const order = [...servers];
    order.push(...order.splice(0, round % order.length));
    for (const { name, place, program } of order) {
      const before = cpuMs(program.pid);
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
          ? await answerOf(process.execPath, [client, ...args])
          : await answerOf(ground.goProgram, ['handshakes', ...args]);
      perSecond.set(name, [...(perSecond.get(name) ?? []), count / (answer['seconds'] ?? Number.NaN)]);
      cpu.set(name, [...(cpu.get(name) ?? []), ((cpuMs(program.pid) - before) * 1000) / count]);
    }
  }
  for (const { program } of servers) await programs.end(program);
  return [
    row('handshakes, one after another', 'handshakes/s', true, perSecond, figure),
    row('CPU of the server per handshake', 'µs', false, cpu, figure),
  ];
}
