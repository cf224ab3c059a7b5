// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import { styleFor } from '../../src/terminal/style.js';
import { table } from '../../src/terminal/table.js';

t.test('colour needs a terminal and nobody against it', async t => {
  const rows: readonly (readonly [
    string,
    { tty: boolean; env: NodeJS.ProcessEnv; noColour?: boolean },
    boolean,
  ])[] = [
    ['a terminal', { tty: true, env: {} }, true],
    ['a pipe', { tty: false, env: {} }, false],
    ['NO_COLOR', { tty: true, env: { NO_COLOR: '1' } }, false],
    ['an empty NO_COLOR says nothing', { tty: true, env: { NO_COLOR: '' } }, true],
    ['-no-color', { tty: true, env: {}, noColour: true }, false],
    ['a dumb terminal', { tty: true, env: { TERM: 'dumb' } }, false],
    ['FORCE_COLOR in a pipe', { tty: false, env: { FORCE_COLOR: '1' } }, true],
    ['FORCE_COLOR=0', { tty: false, env: { FORCE_COLOR: '0' } }, false],
    ['NO_COLOR is stronger than FORCE_COLOR', { tty: true, env: { FORCE_COLOR: '1', NO_COLOR: '1' } }, false],
  ];
  for (const [what, options, colour] of rows) {
    const style = styleFor(options);
    t.equal(style.colour, colour, what);
    t.equal(style.red('x'), colour ? '\u001b[31mx\u001b[39m' : 'x', what);
  }
});

t.test('line-drawing signs are left out where they cannot be shown', async t => {
  const unicode = (env: NodeJS.ProcessEnv) => styleFor({ tty: true, env }).unicode;
  t.equal(unicode({}), true, 'no locale, as in a container');
  t.equal(unicode({ LANG: 'en_US.UTF-8' }), true);
  t.equal(unicode({ LANG: 'C' }), false);
  t.equal(unicode({ LANG: 'en_US.UTF-8', LC_ALL: 'POSIX' }), false);
  t.equal(unicode({ LANG: 'en_US.UTF-8', TERM: 'linux' }), false);
  t.match(styleFor({ tty: false, env: { LANG: 'C' } }).sign.ok, /^[ -~]+$/);
});

t.test('columns line up whatever is in them, and rows are cut to the window', async t => {
  const { red } = styleFor({ tty: true, env: {} });
  t.same(
    table([
      ['ID', 'STATE'],
      ['漢字', red('up')],
      ['x', ''],
    ]),
    ['ID    STATE', '漢字  \u001b[31mup\u001b[39m', 'x'],
  );
  t.same(table([['abc', 'defgh']], { width: 8, indent: 2 }), ['  abc  …']);
  t.same(table([]), []);
});
