// SPDX-License-Identifier: Apache-2.0
// Where the demo's story is shown: as text on a terminal or in a pipe, or as one JSON object per line for scripts.
import { StringDecoder } from 'node:string_decoder';
import { elapsed } from '../terminal/format.js';
import { LiveRegion, type TerminalStream } from '../terminal/live-region.js';
import type { Style } from '../terminal/style.js';
import { pad, padStart, wrap } from '../terminal/text.js';
import { picture } from './picture.js';
import type { Step } from './story.js';

export interface Stage {
  open(): void;
  /** What is being waited for, on a terminal only. */
  waiting(what: string): void;
  step(step: Step, outcome?: 'ok' | 'bad'): void;
  /** What the command printed, in the pieces in which it came. */
  output(stream: 'stdout' | 'stderr', chunk: Buffer): void;
  /** Ends the command's output. */
  outputEnd(): void;
  remark(text: string): void;
  /** Commands to try in another terminal. They are printed once, whole, so that they can be copied. */
  hints(commands: readonly string[]): void;
  /** The view of a serving demo: drawn in place on a terminal, `summary` as a line now and then elsewhere. */
  live(lines: readonly string[], summary: string, fields: Readonly<Record<string, unknown>>): void;
  close(): void;
}

const TIME = 8;
const NAME = 12;
const INDENT = TIME + 2 + NAME;
const REMARK_INDENT = TIME + 2;
/** How often a demo without a terminal says how it is. */
const LIVE_LINE_MS = 10_000;
const TICK_MS = 100;

/** Text for people. */
export class TextStage implements Stage {
  readonly #stream: TerminalStream;
  readonly #style: Style;
  readonly #tty: boolean;
  readonly #began = performance.now();
  #region: LiveRegion | null = null;
  #ticker: NodeJS.Timeout | undefined;
  #lineOpen: 'stdout' | 'stderr' | null = null;
  /** A letter of several bytes may arrive in two pieces. */
  readonly #decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') };
  #lastLive = performance.now();
  #closed = false;

  constructor(stream: TerminalStream, style: Style, tty: boolean) {
    this.#stream = stream;
    this.#style = style;
    this.#tty = tty;
  }

  open(): void {
    const { bold, dim } = this.#style;
    const columns = this.#tty ? this.#stream.columns : undefined;
    const title = `${bold('peerpod demo')}${dim(': one pod, and its calls over mutual TLS, on this machine')}`;
    this.#print(['', ` ${title}`, '', ...picture(this.#style, columns), '']);
  }

  waiting(what: string): void {
    // A story that is still unwinding after its stage was closed must not start to draw again.
    if (!this.#tty || this.#closed) return;
    clearInterval(this.#ticker);
    const region = (this.#region ??= new LiveRegion(this.#stream));
    const draw = () =>
      region.draw([this.#line(this.#style.dim(this.#style.sign.dot), this.#style.dim(`${what} ...`))]);
    draw();
    this.#ticker = setInterval(draw, TICK_MS);
  }

  step(step: Step, outcome: 'ok' | 'bad' = 'ok'): void {
    const { green, red, sign } = this.#style;
    const mark = outcome === 'ok' ? green(sign.ok) : red(sign.bad);
    const [first = '', ...rest] = step.lines.flatMap(line => wrap(line, this.#room(INDENT)));
    const name = this.#style.bold(pad(step.name, NAME));
    this.#print([this.#line(mark, name + first), ...rest.map(line => ' '.repeat(INDENT) + line)]);
  }

  output(stream: 'stdout' | 'stderr', chunk: Buffer): void {
    this.#endWaiting();
    // A line of one stream that is still open ends where the other stream begins.
    let text = this.#lineOpen !== null && this.#lineOpen !== stream ? '\n' : '';
    if (text !== '') this.#lineOpen = null;
    const gutter = ' '.repeat(TIME) + this.#gutter(stream);
    for (const line of this.#decoders[stream].write(chunk).split(/(?<=\n)/u)) {
      if (line === '') continue;
      text += (this.#lineOpen === null ? gutter : '') + line;
      this.#lineOpen = line.endsWith('\n') ? null : stream;
    }
    this.#stream.write(text);
  }

  #gutter(stream: 'stdout' | 'stderr'): string {
    const bar = this.#style.unicode ? '│ ' : '| ';
    return stream === 'stdout' ? this.#style.cyan(bar) : this.#style.yellow(bar);
  }

  outputEnd(): void {
    if (this.#lineOpen !== null) this.#stream.write('\n');
    this.#lineOpen = null;
  }

  remark(text: string): void {
    const [first = '', ...rest] = wrap(text, this.#room(REMARK_INDENT));
    const mark = this.#style.yellow(this.#style.sign.dot);
    this.#print([this.#line(mark, first), ...rest.map(line => ' '.repeat(REMARK_INDENT) + line)]);
  }

  hints(commands: readonly string[]): void {
    const title = this.#style.dim(`in another terminal${this.#style.sign.ellipsis}`);
    this.#print(['', ` ${title}`, ...commands, '']);
  }

  /** Columns for text behind an indentation; very wide windows are not filled, for the eye's sake. */
  #room(indent: number): number {
    const columns = this.#tty ? (this.#stream.columns ?? 80) : 120;
    return Math.max(24, Math.min(120, columns) - indent - 1);
  }

  live(lines: readonly string[], summary: string): void {
    if (this.#closed) return;
    if (this.#tty) {
      clearInterval(this.#ticker);
      (this.#region ??= new LiveRegion(this.#stream)).draw(lines);
    } else if (performance.now() - this.#lastLive >= LIVE_LINE_MS) {
      this.#lastLive = performance.now();
      this.#print([this.#line(this.#style.sign.dot, summary)]);
    }
  }

  close(): void {
    this.#endWaiting();
    this.#closed = true;
  }

  #endWaiting(): void {
    clearInterval(this.#ticker);
    this.#region?.close();
    this.#region = null;
  }

  #line(mark: string, text: string): string {
    const time = padStart(elapsed(performance.now() - this.#began), TIME - 1);
    return `${this.#style.dim(time)} ${mark} ${text}`;
  }

  #print(lines: readonly string[]): void {
    if (this.#closed) return;
    const text = lines.map(line => `${line.trimEnd()}\n`).join('');
    if (this.#region === null) this.#stream.write(text);
    else this.#region.print(text);
  }
}

/** One JSON object per line: `{"at":MS,"t":"step"|"output"|"remark"|"hints"|"live", …}`. */
export class JsonStage implements Stage {
  readonly #stream: TerminalStream;
  readonly #decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') };
  readonly #began = performance.now();
  #lastLive = 0;

  constructor(stream: TerminalStream) {
    this.#stream = stream;
  }

  open(): void {}

  waiting(): void {}

  step(step: Step, outcome: 'ok' | 'bad' = 'ok'): void {
    this.#write({
      t: 'step',
      step: step.name.toLowerCase().replaceAll(' ', '-'),
      ok: outcome === 'ok',
      ...step.fields,
    });
  }

  output(stream: 'stdout' | 'stderr', chunk: Buffer): void {
    this.#write({ t: 'output', stream, text: this.#decoders[stream].write(chunk) });
  }

  outputEnd(): void {}

  remark(text: string): void {
    this.#write({ t: 'remark', text });
  }

  hints(commands: readonly string[]): void {
    this.#write({ t: 'hints', commands });
  }

  live(_lines: readonly string[], _summary: string, fields: Readonly<Record<string, unknown>>): void {
    if (performance.now() - this.#lastLive < LIVE_LINE_MS) return;
    this.#lastLive = performance.now();
    this.#write({ t: 'live', ...fields });
  }

  close(): void {}

  #write(value: Record<string, unknown>): void {
    this.#stream.write(`${JSON.stringify({ at: Math.round(performance.now() - this.#began), ...value })}\n`);
  }
}
