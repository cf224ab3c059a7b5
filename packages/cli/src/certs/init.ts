// SPDX-License-Identifier: Apache-2.0
// `peerpod certs init`: a new authority in a directory.
import { Authority, describeCertificate } from '@peerpod-tls/certs';
import type { Line } from '../command.js';
import { ExitCode, type Io } from '../io.js';
import { pairPaths, refuseOverwrite, writePair } from './files.js';
import type { keyTypes } from './names.js';
import { certificateLines } from './show.js';

export interface InitValues {
  readonly 'common-name': string;
  readonly organization: string;
  readonly 'key-type': (typeof keyTypes)[number];
  readonly days: number;
  readonly force: boolean;
  readonly json: boolean;
}

export async function init({ values, words, err }: Line<InitValues>, io: Io): Promise<number> {
  const dir = words[0] ?? '.';
  const paths = pairPaths(dir, 'authority');
  refuseOverwrite(paths, values.force, 'every certificate of the old authority is worth nothing then');
  const authority = await Authority.create({
    subject: { O: values.organization, CN: values['common-name'] },
    algorithm: values['key-type'],
    lifetimeDays: values.days,
  });
  await writePair(paths, authority.certPem, authority.exportKeyPem());
  const summary = describeCertificate(authority.certificate);
  if (values.json) {
    io.stdout.write(`${JSON.stringify({ files: paths, certificate: summary }, null, 2)}\n`);
    return ExitCode.ok;
  }
  io.stdout.write(`${paths.cert}\n${paths.key}\n`);
  const text = certificateLines(summary, err, new Date(), io.stderr.columns).map(l => `  ${l}\n`);
  io.stderr.write(
    `${text.join('')}keep ${paths.key} on this machine; next: peerpod certs issue server --ca ${dir} --out ${dir}\n`,
  );
  return ExitCode.ok;
}
