// SPDX-License-Identifier: Apache-2.0
// What can be said of a session that nobody knows: it may be sent from its beginning only if it never was here.
import t from 'tap';
import { ForgottenSessions } from '../../src/session/forgotten-sessions.js';

t.test('a session that ended was known, however many others were not', async t => {
  const forgotten = new ForgottenSessions(0);
  forgotten.note('ended', 20);
  t.notOk(forgotten.neverKnew('ended', 10));
  t.ok(forgotten.neverKnew('new', 10), 'the end of another says nothing of this one');
});

t.test('of what began before these were kept nothing can be said', async t => {
  const forgotten = new ForgottenSessions(100);
  t.notOk(forgotten.neverKnew('old', 99));
  t.notOk(forgotten.neverKnew('old', 100));
  t.ok(forgotten.neverKnew('new', 101));
});

t.test(
  'only so many are kept, and what began before the oldest of the others ended may be one of them',
  async t => {
    const forgotten = new ForgottenSessions(0, 2);
    for (const [at, id] of ['a', 'b', 'c'].entries()) forgotten.note(id, 10 + at);
    t.notOk(forgotten.neverKnew('a', 9), 'though its id is not kept');
    t.notOk(forgotten.neverKnew('new', 9), 'nor could this one be told from it');
    t.ok(forgotten.neverKnew('new', 11));
    t.notOk(forgotten.neverKnew('b', 11));
    t.notOk(forgotten.neverKnew('c', 11));
  },
);
