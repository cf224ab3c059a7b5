// SPDX-License-Identifier: Apache-2.0
// What failed, as read from a TAP stream; with streams as tap writes them.
import t from 'tap';
import { failures } from '../scripts/failures.mjs';

t.test('a failed assertion is told with its file and its tests, once', async t => {
  const tap = `TAP version 14
# Subtest: a.test.ts
    # Subtest: a sentence
        # Subtest: one more
            ok 1 - fine
            not ok 2 - it is so
        not ok 1 - one more # time=3.5ms
        not ok 2 - should be equal
          ---
          diff: |
            not ok 7 - a line of the diagnostics
          ...
        1..2
    not ok 1 - a sentence # time=3ms

    1..1
not ok 1 - a.test.ts # time=5ms

# Subtest: b.test.ts
    ok 1 - fine
ok 2 - b.test.ts # time=5ms

1..2
# { total: 4, pass: 2, fail: 2 }
`;
  t.strictSame(failures(tap), [
    'a.test.ts > a sentence > one more > it is so',
    'a.test.ts > a sentence > should be equal',
  ]);
});

t.test('a test that failed without an assertion is told itself', async t => {
  const tap = `TAP version 14
# Subtest: a.test.ts
    # Subtest: a sentence
        ok 1 - fine
    not ok 1 - a sentence # time=60000ms
      ---
      failure: timeout
      ...
    not ok 2 - timeout!
not ok 1 - a.test.ts # time=60010ms
not ok 2 - b.test.ts # time=8ms
`;
  t.strictSame(failures(tap), ['a.test.ts > a sentence', 'a.test.ts > timeout!', 'b.test.ts']);
});

t.test('what is to be done or left out has not failed', async t => {
  t.strictSame(failures('not ok 1 - later # TODO\nnot ok 2 - # SKIP no Docker\nok 3 - not ok 4\n'), []);
  t.strictSame(failures(''), []);
});
