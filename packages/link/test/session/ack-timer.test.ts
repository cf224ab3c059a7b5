// SPDX-License-Identifier: Apache-2.0
import { setTimeout as wait } from 'node:timers/promises';
import t from 'tap';
import { AckTimer } from '../../src/session/ack-timer.js';

t.test(
  'who owes an acknowledgement is told once, one to two ticks later, and again when it owes again',
  async t => {
    const timer = new AckTimer(30);
    const told: number[] = [];
    const debtor = { acknowledge: () => void told.push(performance.now()) };
    for (let round = 1; round <= 2; round += 1) {
      const owed = performance.now();
      timer.add(debtor);
      await wait(150);
      t.equal(told.length, round);
      // Timers may be a millisecond early by this clock.
      t.ok((told.at(-1) ?? 0) - owed >= 28, `after ${(told.at(-1) ?? 0) - owed} ms`);
    }
  },
);

t.test('who owes again while it is told is told again', async t => {
  const timer = new AckTimer(10);
  let told = 0;
  const debtor = {
    acknowledge: () => {
      told += 1;
      if (told < 3) timer.add(debtor);
    },
  };
  timer.add(debtor);
  await wait(150);
  t.equal(told, 3);
});
