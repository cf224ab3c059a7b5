// SPDX-License-Identifier: Apache-2.0
// Certificates a second: key, signature, and both written to a 0600 file that is synced and renamed.
import { writeSecretFile } from '@peerpod-tls/base';
import { Authority } from '@peerpod-tls/certs';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Measure } from './ground.js';
import { Samples } from './measure.js';
import { row } from './report.js';

/** Runs in the bench's own process and so under its own Node release; our name is that of the first side. */
export const issuingFigures: Measure = async ({ programs, ground, sides, rounds, seconds }) => {
  const count = Math.max(20, Math.round(500 * Math.min(1, seconds)));
  const authority = await Authority.create();
  const samples = new Samples();
  for (let round = 0; round < rounds; round += 1) {
    const folder = join(ground.folder, `issued-${round}`);
    mkdirSync(folder, { mode: 0o700 });
    const begun = performance.now();
    for (let made = 0; made < count; made += 1) {
      const issued = await authority.issue('server', { names: [`podvm-bench-${made}`] });
      await writeSecretFile(join(folder, `${made}.pem`), issued.certPem + issued.keyPem);
    }
    samples.add(sides[0]?.name ?? 'ours', count / ((performance.now() - begun) / 1000));
    if (ground.goProgram !== null) {
      const answer = await programs.answerOf(ground.goProgram, [
        'issue',
        `-folder=${folder}`,
        `-count=${count}`,
      ]);
      samples.add('Go x509', count / (answer['seconds'] ?? Number.NaN));
    }
  }
  return [row('certificates: key, signature, file', 'certificates/s', true, samples)];
};
