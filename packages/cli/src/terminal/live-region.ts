// SPDX-License-Identifier: Apache-2.0
// Lines at the bottom of a terminal that are redrawn in place, with ordinary output scrolling above them. Plain ANSI,
// no alternate screen: what was printed stays in the scrollback.
import type { Writable } from 'node:stream';
import { columnsOf, fit } from './text.js';

const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const CLEAR_BELOW = '\u001b[J';

/** The parts of a terminal stream that are used: `columns` and `rows` change when the window does. */
export interface TerminalStream extends Writable {
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

/** Owns the last lines of a terminal until `close()`. */
export class LiveRegion {
  readonly #stream: TerminalStream;
  #drawn: readonly string[] = [];
  #open = true;

  constructor(stream: TerminalStream) {
    this.#stream = stream;
    stream.write(HIDE_CURSOR);
  }

  /** Replaces the region's lines. Lines are cut to the window, and those that do not fit below are left out. */
  draw(lines: readonly string[]): void {
    if (!this.#open) return;
    // One column stays free: a full last column makes some terminals wrap at once, others with the next character.
    const width = Math.max(1, (this.#stream.columns ?? 80) - 1);
    const height = Math.max(1, (this.#stream.rows ?? 24) - 1);
    const shown = lines.slice(0, height).map(line => fit(line, width));
    this.#stream.write(this.#erase() + shown.map(line => `${line}\n`).join(''));
    this.#drawn = shown;
  }

  /** Prints text above the region; it becomes ordinary scrollback. */
  print(text: string): void {
    const again = this.#drawn;
    const erase = this.#erase();
    this.#drawn = again;
    this.#stream.write(erase + text + again.map(line => `${line}\n`).join(''));
  }

  /** Takes the region away, or leaves its last state standing, and shows the cursor again. Repeating it does nothing. */
  close(o: { leave?: boolean } = {}): void {
    if (!this.#open) return;
    this.#stream.write((o.leave === true ? '' : this.#erase()) + SHOW_CURSOR);
    this.#open = false;
  }

  /** Moves to the region's first line and clears from there. Lines that a narrower window has wrapped count as several. */
  #erase(): string {
    const columns = Math.max(1, this.#stream.columns ?? 80);
    let up = 0;
    for (const line of this.#drawn) up += Math.max(1, Math.ceil(columnsOf(line) / columns));
    this.#drawn = [];
    return up === 0 ? '' : `\r\u001b[${up}A${CLEAR_BELOW}`;
  }
}
