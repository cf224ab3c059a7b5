// SPDX-License-Identifier: Apache-2.0
// Certificates a second: key, signature, and both written to a 0600 file that is synced and renamed.
import { writeSecretFile } from '@peerpod-tls/base';
import { Authority } from '@peerpod-tls/certs';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Ground, Options } from './ground.js';
import { figure } from './measure.js';
import type { Peer } from './peers.js';
import { answerOf, type Programs } from './processes.js';
import { row, type Row } from './report.js';

const count = 500;

export async function issuingFigures(
  _programs: Programs,
  ground: Ground,
  _peers: readonly Peer[],
  options: Options,
): Promise<Row[]> {
  const authority = await Authority.create();
  const samples = new Map<string, number[]>();
  const add = (name: string, value: number): unknown =>
    samples.set(name, [...(samples.get(name) ?? []), value]);
  for (let round = 0; round < options.rounds; round += 1) {
    const folder = join(ground.folder, `issued-${round}`);
    mkdirSync(folder, { mode: 0o700 });
    const begun = performance.now();
    for (let made = 0; made < count; made += 1) {
      const issued = await authority.issue('server', { names: [`podvm-bench-${made}`] });
      await writeSecretFile(join(folder, `${made}.pem`), issued.certPem + issued.keyPem);
    }
    add('ours', count / ((performance.now() - begun) / 1000));
    if (ground.goProgram !== null) {
      const answer = await answerOf(ground.goProgram, ['issue', `-folder=${folder}`, `-count=${count}`]);
      add('Go x509', count / (answer['seconds'] ?? Number.NaN));
    }
  }
  return [row('certificates: key, signature, file', 'certificates/s', true, samples, figure)];
}
