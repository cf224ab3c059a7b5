// SPDX-License-Identifier: Apache-2.0
// `peerpod certs inspect`: shows certificates and what would be refused. The findings come from verify.ts.
import { statSync } from 'node:fs';
import { ExitCode, type Io, jsonFlag, readCommandLine } from '../command.js';
import { CliError } from '../errors.js';
import { count } from '../terminal/format.js';
import type { Style } from '../terminal/style.js';
import { printable, wrap } from '../terminal/text.js';
import { usageError } from '../usage.js';
import { type Finding, type Report, type Subject, verify, subjectsIn } from './verify.js';
import { certificateLines } from './show.js';

const flags = {
  key: {
    type: 'string',
    placeholder: 'FILE',
    describe: 'private key that should belong to the first certificate of FILE',
  },
  ca: { type: 'string', placeholder: 'FILE', describe: 'certificates by which the peer would verify it' },
  role: {
    type: 'choice',
    choices: ['server', 'client'],
    describe: 'what it is for; left out: what its extended key usage says',
  },
  name: {
    type: 'string',
    placeholder: 'NAME',
    describe: 'the name a client would dial, to be checked against a server certificate',
  },
  ...jsonFlag,
} as const;

export async function inspect(argv: readonly string[], io: Io): Promise<number> {
  const line = readCommandLine(
    {
      name: 'certs inspect',
      usage: 'FILE|DIR... [flags]',
      about:
        'Shows the certificates in files, and why a program or a peer would refuse them; exit code 1 when it would.\n' +
        'A directory is searched for the files of manual mode, which are then checked against each other.',
      flags,
      words: { min: 1, max: 1000, missing: 'certs inspect needs a file or a directory' },
      examples: [
        ['peerpod certs inspect pki', 'ca.crt, tls.crt and client.crt with their keys'],
        [
          'peerpod certs inspect tls.crt --key tls.key --ca ca.crt --name podvm-server',
          'as an adaptor would verify it',
        ],
      ],
    },
    argv,
    io,
  );
  if (line === null) return ExitCode.ok;
  const { values, words } = line;
  const now = new Date();
  const subjects = words.flatMap(word => subjectsFor(word, values));
  if (values.key !== undefined && subjects.length > 1) {
    throw usageError(
      '-key belongs to one certificate, and there are several files',
      'inspect them one by one',
    );
  }
  const reports = subjects.map(subject => verify(subject, now));
  if (values.json) io.stdout.write(`${JSON.stringify({ files: reports }, null, 2)}\n`);
  else
    io.stdout.write(reports.map(report => reportText(report, line.out, now, io.stdout.columns)).join('\n'));
  return reports.some(report => report.refused) ? ExitCode.failed : ExitCode.ok;
}

function subjectsFor(
  word: string,
  flags: {
    key?: string | undefined;
    ca?: string | undefined;
    role?: 'server' | 'client' | undefined;
    name?: string | undefined;
  },
): Subject[] {
  const { key, ca, role, name } = flags;
  if (statSync(word, { throwIfNoEntry: false })?.isDirectory() !== true)
    return [{ file: word, key, ca, role, name }];
  const found = subjectsIn(word, name);
  if (found.length > 0) return found;
  throw new CliError('ERR_CLI_BAD_INPUT', `${word} holds none of ca.crt, tls.crt and client.crt`, {
    hint: 'name the certificate files themselves',
  });
}

function reportText(report: Report, style: Style, now: Date, columns = 100): string {
  const width = Math.max(40, columns - 4);
  const lines = [style.bold(printable(report.file)) + countText(report, style)];
  report.certificates.forEach((certificate, i) => {
    if (i > 0) lines.push('');
    lines.push(...certificateLines(certificate, style, now, width).map(text => `  ${text}`));
  });
  for (const finding of report.findings) lines.push(...findingLines(finding, style, width));
  return `${lines.join('\n')}\n`;
}

function countText({ certificates }: Report, style: Style): string {
  return certificates.length > 1
    ? style.dim(`  ${count(certificates.length, 'certificate')}, leaf first`)
    : '';
}

function findingLines(finding: Finding, style: Style, width: number): string[] {
  const signs = {
    fine: style.green(style.sign.ok),
    warning: style.yellow(style.sign.warn),
    refused: style.red(style.sign.bad),
  };
  const [first = '', ...rest] = wrap(printable(finding.text), width);
  const hint = finding.hint === undefined ? [] : wrap(printable(finding.hint), width);
  return [
    `  ${signs[finding.verdict]} ${first}`,
    ...rest.map(l => `    ${l}`),
    ...hint.map(l => `    ${style.dim(l)}`),
  ];
}
