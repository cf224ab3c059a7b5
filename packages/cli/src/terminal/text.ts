// SPDX-License-Identifier: Apache-2.0
// Text as a terminal sees it: what may be printed, and how many columns it takes. No colours here.
import { stripVTControlCharacters } from 'node:util';

// C0, DEL, C1, line and paragraph separators, and the controls that turn the reading direction around.
// oxlint-disable-next-line no-control-regex -- finding control characters is the purpose
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu;
const COMBINING = /^\p{Mark}$/u;
// Scripts whose letters take two cells, and pictographs.
const WIDE =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]$/u;

/**
 * One line that is safe to print: a name in a certificate or a message of a peer may hold escape sequences that move
 * the cursor or hide text, so every control character becomes its visible escape.
 */
export function printable(text: string): string {
  return text.replaceAll(UNPRINTABLE, c => {
    if (c === '\n') return '\\n';
    if (c === '\t') return '\\t';
    const code = c.charCodeAt(0);
    return code < 0x100
      ? `\\x${code.toString(16).padStart(2, '0')}`
      : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

/** Columns the text takes on a terminal; colour sequences take none. */
export function columnsOf(text: string): number {
  let width = 0;
  for (const c of stripVTControlCharacters(text)) width += cellsOf(c);
  return width;
}

function cellsOf(c: string): number {
  if (c < '\u0300') return 1;
  if (COMBINING.test(c)) return 0;
  return WIDE.test(c) ? 2 : 1;
}

/** The text cut to `width` columns, ending in an ellipsis when something was cut. Colours before the cut survive. */
export function fit(text: string, width: number, ellipsis = '…'): string {
  if (columnsOf(text) <= width) return text;
  const room = Math.max(0, width - columnsOf(ellipsis));
  let out = '';
  let used = 0;
  let coloured = false;
  // oxlint-disable-next-line no-control-regex -- colour sequences begin with ESC
  for (const part of text.split(/(\u001b\[[0-9;]*m)/u)) {
    if (part.startsWith('\u001b[')) {
      out += part;
      coloured = true;
      continue;
    }
    for (const c of part) {
      if (used + cellsOf(c) > room)
        return `${out}${coloured ? '\u001b[0m' : ''}${fitsEllipsis(width, ellipsis)}`;
      out += c;
      used += cellsOf(c);
    }
  }
  return out;
}

function fitsEllipsis(width: number, ellipsis: string): string {
  return columnsOf(ellipsis) <= width ? ellipsis : '';
}

/** The text followed by spaces up to `width` columns. */
export function pad(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - columnsOf(text)));
}

/** The text preceded by spaces up to `width` columns. */
export function padStart(text: string, width: number): string {
  return ' '.repeat(Math.max(0, width - columnsOf(text))) + text;
}

/** Plain text broken at spaces into lines of at most `width` columns; a longer word stays whole. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/u).filter(w => w !== '')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line !== '' && columnsOf(longer) > width) {
      lines.push(line);
      line = word;
    } else {
      line = longer;
    }
  }
  if (line !== '') lines.push(line);
  return lines;
}
