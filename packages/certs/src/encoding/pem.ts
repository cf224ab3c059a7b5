// SPDX-License-Identifier: Apache-2.0
// PEM text (RFC 7468): finding its blocks among whatever surrounds them, and writing one. A line that looks like a
// boundary and is none is an error, never passed over: what it was meant to begin would be missing. What is in the
// blocks is not looked at here.
import { CertError } from '../errors.js';
import { nameOrigin, type PemSource } from './source.js';

export interface PemBlock {
  readonly label: string;
  /** Line of BEGIN, counted from 1. */
  readonly line: number;
  /** RFC 1421 headers, such as those of an encrypted key; empty for others. */
  readonly headers: readonly string[];
  readonly der: Buffer;
}

/** The boundaries of a line, and the texts before, between and behind them. */
const BOUNDARY = /-----(BEGIN|END) ([A-Z0-9][A-Z0-9 ]{0,63}?)-----/;
/** What a person takes for a boundary: any dashes (also typographic ones) before the word, in any case. */
const LOOKS_LIKE_ONE =
  /[-\u00ad\u2010-\u2015\u2212\ufe58\ufe63\uff0d]\s*(BEGIN|END)\b|^[\W_]*(BEGIN|END)\s+[A-Z0-9 ]*(CERTIFICATE|PRIVATE KEY)[\W_]*$/i;
/** Quotes and spaces of whatever the text was copied from, and the byte order mark that editors put in front of files. */
const HARMLESS_BEFORE = /^[\s\ufeff\u200b"'`]*$/;
const HARMLESS_BEHIND = /^[\s\ufeff\u200b"'`,;]*$/;

interface OpenBlock {
  readonly label: string;
  readonly line: number;
  readonly headers: string[];
  readonly body: string[];
}

/** The blocks of a text, in order. Throws ERR_CERT_PEM_MALFORMED, with the line, for one that cannot be read. */
export function pemBlocks(source: PemSource): PemBlock[] {
  const blocks: PemBlock[] = [];
  let open: OpenBlock | null = null;
  for (const [index, text] of source.pem.split(/\r\n|\n|\r/).entries()) {
    const line = index + 1;
    // Odd places hold `BEGIN` or `END`, the ones behind them the label, the rest what stands between boundaries.
    const parts = text.split(BOUNDARY);
    for (let i = 0; i < parts.length; i += 3) {
      const between = parts[i] ?? '';
      if (LOOKS_LIKE_ONE.test(between)) throw malformed(source, line, ...lookAlike(between));
      const [kind, label = ''] = parts.slice(i + 1, i + 3);
      if (open !== null) addToBody(open, between);
      if (kind === 'BEGIN') {
        if (open !== null) throw malformed(source, open.line, 'has no end of its own', CUT);
        const behindAnother = i > 0 && HARMLESS_BEHIND.test(between);
        if (!behindAnother && !HARMLESS_BEFORE.test(between)) throw textBefore(source, line, between, text);
        open = { label, line, headers: [], body: [] };
      } else if (kind === 'END') {
        if (open === null) throw malformed(source, line, 'is ended and never begun', CUT);
        if (open.label !== label) throw malformed(source, open.line, 'has no end of its own', CUT);
        blocks.push(closed(source, open));
        open = null;
      }
    }
  }
  if (open) throw malformed(source, open.line, 'does not end', CUT);
  return blocks;
}

function addToBody(open: OpenBlock, text: string): void {
  const line = text.replaceAll(/[\s\ufeff\u200b]/g, '');
  if (text.includes(':')) open.headers.push(text.trim());
  else if (line !== '') open.body.push(line);
}

function closed(source: PemSource, { label, line, headers, body }: OpenBlock): PemBlock {
  const base64 = body.join('');
  if (/\\[nr]/.test(base64)) throw malformed(source, line, ...LITERAL_LINE_ENDS(source));
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64) || base64.length % 4 !== 0)
    throw malformed(source, line, base64 === '' ? 'is empty' : 'is not base64 text', CUT);
  return { label, line, headers, der: Buffer.from(base64, 'base64') };
}

const CUT = 'the file was cut off or changed on its way; copy it again';

/** For texts that are known to be on one line where there should be several. */
const LITERAL_LINE_ENDS = ({ file }: PemSource): [string, string] => [
  'has \\n as two characters where lines should end',
  `put real line ends in: printf '%b' "$(cat ${quoted(file)})" > new.pem`,
];

function textBefore(source: PemSource, line: number, text: string, whole: string): CertError {
  // The line of a JSON or YAML file: behind its key, with its line ends written out.
  if (/\\[nr]/.test(whole)) {
    const file = quoted(source.file);
    const command = `printf '%b' "$(cat ${file})" | sed 's/^.*-----BEGIN/-----BEGIN/' > new.pem`;
    return malformed(
      source,
      line,
      'has \\n as two characters where lines should end, and other text in front of its boundary',
      `put real line ends in with: ${command}`,
    );
  }
  return malformed(
    source,
    line,
    `has other text in front of its boundary (${JSON.stringify(text.trim().slice(0, 20))})`,
    'put -----BEGIN at the beginning of its line; a certificate that should not count is taken out altogether',
  );
}

function lookAlike(text: string): [string, string] {
  if (/[\u00ad\u2010-\u2015\u2212\ufe58\ufe63\uff0d]/.test(text)) {
    return [
      'has a boundary with typographic dashes',
      'a text program changed them; write five hyphens (-----) on both sides, or copy the file again',
    ];
  }
  return [
    `has a line that is no boundary and looks like one (${JSON.stringify(text.trim().slice(0, 40))})`,
    'a boundary is five hyphens, BEGIN or END, the kind in capitals, five hyphens: -----BEGIN CERTIFICATE-----',
  ];
}

function malformed(source: PemSource, line: number, what: string, hint: string): CertError {
  const text = `${nameOrigin(source)}: the block begun in line ${line} ${what}`;
  return new CertError('ERR_CERT_PEM_MALFORMED', text, { hint });
}

/** A file name as a shell takes it. */
export const quoted = (file: string): string =>
  /^[\w./@%+=:,-]+$/.test(file) ? file : `'${file.replaceAll("'", "'\\''")}'`;

/** One block in 64-character lines, with a line end after its last. */
export function pemBlock(label: string, der: Uint8Array): string {
  const base64 = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString('base64');
  let text = `-----BEGIN ${label}-----\n`;
  for (let i = 0; i < base64.length; i += 64) text += `${base64.slice(i, i + 64)}\n`;
  return `${text}-----END ${label}-----\n`;
}

export const certificatePem = (der: Uint8Array): string => pemBlock('CERTIFICATE', der);
