// SPDX-License-Identifier: Apache-2.0
import { PassThrough } from 'node:stream';
import t from 'tap';
import { LiveRegion } from '../../src/terminal/live-region.js';

/** A terminal that understands what LiveRegion sends: lines, columns that wrap, cursor up, clear below. */
class Screen extends PassThrough {
  columns: number;
  rows = 24;
  cursorShown = true;
  #text = '';

  constructor(columns: number) {
    super();
    this.columns = columns;
    this.on('data', (chunk: Buffer) => (this.#text += chunk.toString()));
  }

  /** The lines on the screen, each of at most `columns` cells. */
  lines(): string[] {
    this.read();
    let rows = [''];
    let row = 0;
    const control = String.raw`\x1b\[(?<up>\d*)A|\x1b\[(?<clear>J)|\x1b\[\?25(?<cursor>[hl])|(?<control>[\r\n])`;
    const pattern = new RegExp(String.raw`${control}|(?<text>[^\x1b\r\n]+)`, 'gu');
    for (const { groups } of this.#text.matchAll(pattern)) {
      if (groups?.['up'] !== undefined) row -= Number(groups['up'] || 1);
      else if (groups?.['clear'] !== undefined)
        rows = rows.slice(0, row + 1).map((line, i) => (i === row ? '' : line));
      else if (groups?.['cursor'] !== undefined) this.cursorShown = groups['cursor'] === 'h';
      else if (groups?.['control'] === '\n') rows[++row] ??= '';
      else if (groups?.['text'] !== undefined) rows[row] = groups['text'];
    }
    return rows;
  }
}

t.test('the region is redrawn in place, and what is printed scrolls above it', async t => {
  const screen = new Screen(40);
  const region = new LiveRegion(screen);
  region.draw(['one', 'two']);
  t.same(screen.lines(), ['one', 'two', '']);
  t.equal(screen.cursorShown, false);
  region.draw(['three']);
  t.same(screen.lines(), ['three', '']);
  region.print('said\n');
  t.same(screen.lines(), ['said', 'three', '']);
  region.draw(['four', 'five', 'six']);
  t.same(screen.lines(), ['said', 'four', 'five', 'six', '']);
  region.close();
  t.same(screen.lines(), ['said', '']);
  t.equal(screen.cursorShown, true);
  region.draw(['late']);
  region.close();
  t.same(screen.lines(), ['said', ''], 'a closed region draws nothing');
});

t.test('a region may stay on the screen when it closes', async t => {
  const screen = new Screen(40);
  const region = new LiveRegion(screen);
  region.draw(['last']);
  region.close({ leave: true });
  t.same(screen.lines(), ['last', '']);
  t.equal(screen.cursorShown, true);
});

t.test('lines are cut to the window, and a window that got narrower is cleared whole', async t => {
  const screen = new Screen(20);
  const sent: string[] = [];
  screen.on('data', (chunk: Buffer) => sent.push(chunk.toString()));
  const region = new LiveRegion(screen);
  region.draw(['x'.repeat(30), 'short']);
  t.same(screen.lines(), [`${'x'.repeat(18)}…`, 'short', '']);
  // The terminal has wrapped the 19 cells of the first line into two rows of ten.
  screen.columns = 10;
  region.draw(['new']);
  t.ok(sent.at(-1)?.startsWith('\r\u001b[3A\u001b[J'), 'up by the three rows that were shown');
  screen.rows = 3;
  region.draw(['1', '2', '3', '4']);
  t.equal(sent.at(-1)?.split('\n').length, 3, 'no more lines than the window has');
});
