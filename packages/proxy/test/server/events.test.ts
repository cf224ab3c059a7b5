// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import { EventLog } from '../../src/server/events.js';

const now = AbortSignal.abort();

t.test('events are numbered from 1, and who asks gets those after the one it knows', async t => {
  const events = new EventLog();
  for (const sandbox of ['a', 'b', 'c']) events.add({ t: 'connected' }, sandbox);
  const { process } = events;
  const numbers = async (after: number, of = process): Promise<number[]> =>
    (await events.since(after, of, now)).events.map(({ number }) => number);
  t.strictSame(await numbers(0), [1, 2, 3]);
  t.strictSame(await numbers(2, 'another process'), [1, 2, 3], 'a number of another process means nothing');
  t.strictSame(await numbers(99), [1, 2, 3], 'nor does one from the future');
  t.strictSame(await numbers(-5), [1, 2, 3]);
  t.strictSame(await numbers(Number.NaN), [1, 2, 3]);
  t.strictSame(await numbers(1.5), [2, 3]);
  t.strictSame(await numbers(2), [3]);
  t.strictSame(
    await numbers(0),
    [3],
    'what somebody has is told to nobody again: the next adaptor counts anew',
  );
  t.strictSame(await numbers(3), []);
});

t.test('what was forgotten is counted, and what is left comes in pieces that fit a message', async t => {
  const events = new EventLog();
  for (let count = 0; count < 5000; count += 1) events.add({ t: 'handshake', ms: count }, 'a');
  let { events: got, missed } = await events.since(0, events.process, now);
  t.strictSame([missed, got[0]?.number, got.length], [904, 905, 512]);
  let last = 0;
  let total = 0;
  while (got.length > 0) {
    total += got.length;
    last = got.at(-1)?.number ?? 0;
    ({ events: got, missed } = await events.since(last, events.process, now));
    t.equal(missed, 0);
  }
  t.strictSame([total, last], [4096, 5000]);
});

t.test('many may wait for the next one, until it comes or they leave', async t => {
  const events = new EventLog();
  const leaving = new AbortController();
  const [one, two, gone] = [
    events.since(0, '', new AbortController().signal),
    events.since(0, '', new AbortController().signal),
    events.since(0, '', leaving.signal),
  ];
  leaving.abort();
  t.match(await gone, { events: [], missed: 0 });
  events.add({ t: 'protocol-error' }, 'a');
  for (const answer of [await one, await two]) t.match(answer, { events: [{ number: 1, sandbox: 'a' }] });
});
