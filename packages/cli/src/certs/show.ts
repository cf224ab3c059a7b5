// SPDX-License-Identifier: Apache-2.0
// A certificate as lines on a terminal. Nothing is verified here; dates are set against a clock that is handed in.
import type { CertificateSummary } from '@peerpod-tls/certs';
import { moment, relative } from '../terminal/format.js';
import type { Style } from '../terminal/style.js';
import { pad, printable, wrap } from '../terminal/text.js';

const LABEL_WIDTH = 13;

/** What a person reads about one certificate; every name in it is made safe to print. */
export function certificateLines(c: CertificateSummary, style: Style, now: Date, width = 100): string[] {
  const room = Math.max(24, width - LABEL_WIDTH);
  return [
    ...field('subject', printable(c.subject), style, room),
    ...field('issuer', c.issuer === c.subject ? style.dim('itself') : printable(c.issuer), style, room),
    ...field('valid', validity(c, style, now), style, room),
    ...field(
      'names',
      c.names.length === 0 ? style.dim('none') : c.names.map(printable).join(', '),
      style,
      room,
    ),
    ...field('purpose', purpose(c), style, room),
    ...field('key', c.key, style, room),
    ...field('serial', c.serial, style, room),
    ...field('sha256', c.fingerprint, style, room),
  ];
}

/** Label and value; a value with colours is not broken into lines. */
function field(label: string, value: string, style: Style, room: number): string[] {
  const lines = value.includes('\u001b') ? [value] : wrap(value, room);
  return lines.map(
    (line, i) => (i === 0 ? style.dim(pad(label, LABEL_WIDTH)) : ' '.repeat(LABEL_WIDTH)) + line,
  );
}

function validity(c: CertificateSummary, style: Style, now: Date): string {
  const from = new Date(c.notBefore);
  const until = new Date(c.notAfter);
  const dates = `${moment(from)} to ${moment(until)}`;
  if (now > until) return `${dates}, ${style.red(`expired ${relative(until, now)}`)}`;
  if (now < from) return `${dates}, ${style.red(`begins ${relative(from, now)}`)}`;
  const left = until.getTime() - now.getTime();
  const whole = until.getTime() - from.getTime();
  const ends = `ends ${relative(until, now)}`;
  // The last third of a life is when one would renew.
  return `${dates}, ${left < whole / 3 ? style.yellow(ends) : style.green(ends)}`;
}

const purposes: Readonly<Record<string, string>> = {
  serverAuth: 'TLS server',
  clientAuth: 'TLS client',
};

function purpose(c: CertificateSummary): string {
  const uses = c.usages.map(usage => purposes[usage] ?? printable(usage));
  if (c.isCa)
    return uses.length === 0 ? 'certificate authority' : `certificate authority for ${uses.join(', ')}`;
  return uses.length === 0 ? 'any: it carries no extended key usage' : uses.join(', ');
}
