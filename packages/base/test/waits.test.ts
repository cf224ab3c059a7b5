// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import { abortable, atDate, Backoff, KeyedMutex, sleep, startTimer } from '../src/index.js';

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

t.test('sleep ends with its time or with its signal and the reason of it', async t => {
  await sleep(1);
  const stop = new AbortController();
  const slept = sleep(60_000, stop.signal);
  stop.abort(new Error('enough'));
  await t.rejects(slept, { message: 'enough' });
  await t.rejects(sleep(1, stop.signal), { message: 'enough' });
});

t.test('an abortable promise ends with its signal, and what comes too late is handed over', async t => {
  const stop = new AbortController();
  t.equal(await abortable(Promise.resolve(7), stop.signal), 7);
  await t.rejects(abortable(Promise.reject(new Error('own')), stop.signal), { message: 'own' });
  let finish = (_value: string): void => {};
  const late: string[] = [];
  const work = abortable(new Promise<string>(resolve => (finish = resolve)), stop.signal, value => {
    late.push(value);
  });
  stop.abort(new Error('stop'));
  await t.rejects(work, { message: 'stop' });
  finish('too late');
  await pause(0);
  t.strictSame(late, ['too late']);
  await t.rejects(abortable(Promise.reject(new Error('dropped')), stop.signal), { message: 'stop' });
});

t.test('one thing at a time per key, in order, whatever came of the one before', async t => {
  const mutex = new KeyedMutex();
  const done: string[] = [];
  const step =
    (name: string, ms: number, fail = false) =>
    async (): Promise<void> => {
      await pause(ms);
      done.push(name);
      if (fail) throw new Error(name);
    };
  const first = mutex.run('a', step('a1', 30, true));
  const second = mutex.run('a', step('a2', 1));
  const other = mutex.run('b', step('b1', 1));
  await t.rejects(first, { message: 'a1' });
  await Promise.all([second, other, mutex.idle()]);
  t.strictSame(done, ['b1', 'a1', 'a2']);
});

t.test('pauses grow up to the longest, spread by the jitter, and begin anew after a success', async t => {
  const plain = new Backoff({ firstMs: 10, longestMs: 50 });
  t.strictSame([plain.next(), plain.next(), plain.next(), plain.next()], [10, 20, 40, 50]);
  plain.reset();
  t.equal(plain.next(), 10);
  const spread = (random: number): number =>
    new Backoff({ firstMs: 100, longestMs: 100, jitter: 0.25, random: () => random }).next();
  t.strictSame([spread(0), spread(0.5)], [75, 100]);
});

t.test('a timer longer than the longest of Node does not fire at once, and can be cancelled', async t => {
  let fired = 0;
  const cancel = startTimer(2 ** 40, () => fired++);
  startTimer(5, () => fired++);
  const cancelled = startTimer(5, () => (fired += 10));
  cancelled();
  await pause(40);
  cancel();
  t.equal(fired, 1);
});

t.test('a timer for a date follows the wall clock when it is stepped, either way', async t => {
  let now = 1_000_000;
  const fired: string[] = [];
  const options = { now: () => now, lookMs: 10 };
  atDate(new Date(now + 3_600_000), () => fired.push('stepped forwards'), options);
  atDate(new Date(now + 20), () => fired.push('stepped back'), options);
  const cancel = atDate(new Date(now - 1), () => fired.push('cancelled'), options);
  cancel();
  atDate(new Date(now - 1), () => fired.push('past'), options);
  now -= 3_600_000;
  await pause(60);
  t.strictSame(fired, [], 'the clock went back: neither date has come');
  now += 3_600_000 + 10;
  await pause(40);
  t.strictSame(fired, ['past']);
  now += 3_600_000;
  await pause(60);
  t.strictSame(fired.sort(), ['past', 'stepped back', 'stepped forwards']);
  t.throws(() => atDate(new Date(Number.NaN), () => {}), /invalid date/);
});
