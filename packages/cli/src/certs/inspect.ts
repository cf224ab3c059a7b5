// SPDX-License-Identifier: Apache-2.0
// `peerpod certs inspect`: shows certificates and what would be refused. The findings come from verify.ts.
import { statSync } from 'node:fs';
import type { Line } from '../command.js';
import { ExitCode, type Io } from '../io.js';
import { CliError } from '../errors.js';
import { count } from '../terminal/format.js';
import type { Style } from '../terminal/style.js';
import { printable, wrap } from '../terminal/text.js';
import { usageError } from '../usage.js';
import { type Finding, type Report, type Subject, verify, subjectsIn } from './verify.js';
import { certificateLines } from './show.js';

export interface InspectValues {
  readonly key: string | undefined;
  readonly ca: string | undefined;
  readonly role: 'server' | 'client' | undefined;
  readonly name: string | undefined;
  readonly json: boolean;
}

export async function inspect({ values, words, out }: Line<InspectValues>, io: Io): Promise<number> {
  const now = new Date();
  const subjects = words.flatMap(word => subjectsFor(word, values));
  if (values.key !== undefined && subjects.length > 1) {
    throw usageError(
      '-key belongs to one certificate, and there are several files',
      'inspect them one by one',
    );
  }
  const reports: Report[] = [];
  for (const subject of subjects) reports.push(await verify(subject, now));
  if (values.json) io.stdout.write(`${JSON.stringify({ files: reports }, null, 2)}\n`);
  else io.stdout.write(reports.map(report => reportText(report, out, now, io.stdout.columns)).join('\n'));
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
