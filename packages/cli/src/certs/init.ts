// SPDX-License-Identifier: Apache-2.0
// `peerpod certs init`: a new authority in a directory.
import { Authority, describeCertificate } from '@peerpod-tls/certs';
import { ExitCode, type Io, jsonFlag, readCommandLine } from '../command.js';
import { fileNames, keyTypes, pairPaths, refuseOverwrite, writePair } from './files.js';
import { certificateLines } from './show.js';

const flags = {
  'common-name': {
    type: 'string',
    default: 'peerpod-ca',
    placeholder: 'CN',
    describe: 'common name of the authority',
  },
  organization: {
    type: 'string',
    default: 'agent-protocol-forwarder',
    placeholder: 'O',
    describe: 'its organization',
  },
  'key-type': { type: 'choice', choices: keyTypes, default: 'ecdsa-p256', describe: 'kind of its key' },
  days: { type: 'integer', default: 1825, min: 1, max: 36_500, describe: 'days it is valid' },
  force: { type: 'boolean', default: false, describe: 'replace an authority that is there already' },
  ...jsonFlag,
} as const;

export async function init(argv: readonly string[], io: Io): Promise<number> {
  const line = readCommandLine(
    {
      name: 'certs init',
      usage: 'DIR [flags]',
      about: `Makes a certificate authority: DIR/${fileNames.authority.cert} and DIR/${fileNames.authority.key}, in a directory of mode 0700.`,
      flags,
      words: { min: 1, max: 1, missing: 'certs init needs a directory for the authority' },
      examples: [
        ['peerpod certs init pki', 'five years, ECDSA P-256'],
        ['peerpod certs init pki --key-type rsa-3072 --days 30', 'for peers that want RSA'],
      ],
    },
    argv,
    io,
  );
  if (line === null) return ExitCode.ok;
  const { values } = line;
  const dir = line.words[0] ?? '.';
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
  const text = certificateLines(summary, line.err, new Date(), io.stderr.columns).map(l => `  ${l}\n`);
  io.stderr.write(
    `${text.join('')}keep ${paths.key} on this machine; next: peerpod certs issue server --ca ${dir} --out ${dir}\n`,
  );
  return ExitCode.ok;
}
