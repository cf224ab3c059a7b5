// SPDX-License-Identifier: Apache-2.0
// Suggestions for misspelled words.
import t from 'tap';
import { nearest } from '../src/nearest.js';

const known = [
  'socket',
  'pods-dir',
  'cert-file',
  'cert-key',
  'ca-cert-file',
  'disable-tls',
  'tls-min-version',
];

t.test('a slip of the finger finds its word', async t => {
  for (const [typed, meant] of [
    ['sokcet', 'socket'],
    ['pod-dir', 'pods-dir'],
    ['certfile', 'cert-file'],
    ['disable_tls', 'disable-tls'],
    ['DISABLE-TLS', 'disable-tls'],
    ['cert-ket', 'cert-key'],
  ] as const) {
    t.equal(nearest(typed, known), meant, typed);
  }
});

t.test('the beginning or the last part of a word is enough when it has four letters', async t => {
  t.equal(nearest('disable', known), 'disable-tls');
  t.equal(nearest('min-version', known), 'tls-min-version');
});

t.test('what is nothing like any word gets no suggestion', async t => {
  for (const typed of ['', 'x', 'zzzzzzzz', 'q'.repeat(5000)])
    t.equal(nearest(typed, known), undefined, typed.slice(0, 10));
});
