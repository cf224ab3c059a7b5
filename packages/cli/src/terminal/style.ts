// SPDX-License-Identifier: Apache-2.0
// Which colours and signs an output stream gets. The decision is made once per stream; nothing here writes.

/** Colours as functions from text to text, and the signs that go with them. */
export interface Style {
  readonly colour: boolean;
  readonly unicode: boolean;
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  cyan(text: string): string;
  readonly sign: Signs;
}

export interface Signs {
  readonly ok: string;
  readonly bad: string;
  readonly warn: string;
  readonly dot: string;
  readonly ellipsis: string;
  readonly up: string;
  readonly down: string;
  /** Bars from empty to full, for a small graph. */
  readonly bars: readonly string[];
}

const UNICODE: Signs = {
  ok: '✓',
  bad: '✗',
  warn: '!',
  dot: '·',
  ellipsis: '…',
  up: '↑',
  down: '↓',
  bars: ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
};

const ASCII: Signs = {
  ok: '+',
  bad: 'x',
  warn: '!',
  dot: '-',
  ellipsis: '...',
  up: '^',
  down: 'v',
  bars: ['_', '.', ':', '-', '=', '+', '*', '#'],
};

/**
 * The style for a stream. Colour needs a terminal, no `NO_COLOR` (any non-empty value, no-color.org), no `-no-color`
 * and a `TERM` that is not `dumb`; `FORCE_COLOR` stands in for the terminal. Line-drawing signs are left out where
 * the locale names another character set than UTF-8, and on the Linux console, whose fonts lack them.
 */
export function styleFor(o: { tty: boolean; env: NodeJS.ProcessEnv; noColour?: boolean }): Style {
  const { env } = o;
  const forced = (env['FORCE_COLOR'] ?? '') !== '' && env['FORCE_COLOR'] !== '0';
  const refused = o.noColour === true || (env['NO_COLOR'] ?? '') !== '';
  const colour = !refused && (forced || (o.tty && env['TERM'] !== 'dumb'));
  const unicode = speaksUnicode(env);
  const paint = (open: number, close: number) => (text: string) =>
    colour ? `\u001b[${open}m${text}\u001b[${close}m` : text;
  return {
    colour,
    unicode,
    bold: paint(1, 22),
    dim: paint(2, 22),
    red: paint(31, 39),
    green: paint(32, 39),
    yellow: paint(33, 39),
    cyan: paint(36, 39),
    sign: unicode ? UNICODE : ASCII,
  };
}

function speaksUnicode(env: NodeJS.ProcessEnv): boolean {
  if (env['TERM'] === 'linux' || env['TERM'] === 'dumb') return false;
  const locale = [env['LC_ALL'], env['LC_CTYPE'], env['LANG']].find(v => v !== undefined && v !== '');
  // Containers and services often have no locale at all; what shows their output nearly always reads UTF-8.
  return locale === undefined || /utf-?8/iu.test(locale);
}
