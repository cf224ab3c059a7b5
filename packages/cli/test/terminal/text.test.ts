// SPDX-License-Identifier: Apache-2.0
import * as fc from 'fast-check';
import t from 'tap';
import { columnsOf, fit, pad, padStart, printable, wrap } from '../../src/terminal/text.js';

t.test('what could move the cursor or turn the text around becomes visible', async t => {
  t.equal(printable('plain name, ünïcödé 漢'), 'plain name, ünïcödé 漢');
  t.equal(printable('a\u001b[2Jb'), 'a\\x1b[2Jb');
  t.equal(printable('two\nlines\tand\r'), 'two\\nlines\\tand\\x0d');
  t.equal(printable('\u009b31m\u202egnp\u2066\u200b\ufeff'), '\\x9b31m\\u202egnp\\u2066\\u200b\\ufeff');
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), text => {
      const safe = printable(text);
      return !/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e]/u.test(safe) && printable(safe) === safe;
    }),
  );
});

t.test('columns are what a terminal moves on', async t => {
  const rows: readonly (readonly [string, number])[] = [
    ['', 0],
    ['abc', 3],
    ['\u001b[1mabc\u001b[22m', 3],
    ['漢字', 4],
    ['e\u0301', 1],
    ['🙂', 2],
    ['──▶', 3],
  ];
  for (const [text, width] of rows) t.equal(columnsOf(text), width, JSON.stringify(text));
});

t.test('a text is cut to its columns with an ellipsis, and its colours do not leak', async t => {
  t.equal(fit('abcdef', 6), 'abcdef');
  t.equal(fit('abcdef', 5), 'abcd…');
  t.equal(fit('漢字漢字', 4), '漢…');
  t.equal(fit('\u001b[31mabcdef\u001b[39m', 3), '\u001b[31mab\u001b[0m…');
  t.equal(fit('abc', 0), '');
  fc.assert(fc.property(fc.string(), fc.nat(20), (text, width) => columnsOf(fit(text, width)) <= width));
});

t.test('padding counts columns, not characters', async t => {
  t.equal(pad('漢', 4), '漢  ');
  t.equal(padStart('\u001b[1mx\u001b[22m', 3), '  \u001b[1mx\u001b[22m');
  t.equal(pad('longer', 3), 'longer');
});

t.test('words are broken into lines, and a word that is too long stays whole', async t => {
  t.same(wrap('one two three', 7), ['one two', 'three']);
  t.same(wrap('  spaces   collapse ', 40), ['spaces collapse']);
  t.same(wrap('/a/very/long/path x', 5), ['/a/very/long/path', 'x']);
  t.same(wrap('', 5), []);
});
