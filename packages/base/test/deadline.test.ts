// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { getEventListeners } from 'node:events';
import t from 'tap';
import { anySignal, deadline } from '../src/index.js';

t.test('a deadline aborts after its time with a TimeoutError, or with the first of its signals', async t => {
  const late = deadline(20, new AbortController().signal);
  await new Promise(resolve => setTimeout(resolve, 80));
  t.equal(late.aborted, true);
  t.equal(late.reason.name, 'TimeoutError');
  const stop = new AbortController();
  const early = deadline(60_000, stop.signal);
  const reason = new Error('stopped');
  stop.abort(reason);
  t.equal(early.reason, reason);
  t.equal(deadline(60_000, stop.signal).reason, reason, 'also one that had aborted before');
  t.equal(anySignal(new AbortController().signal, stop.signal).reason, reason);
});

t.test('nothing is left on the signals after the end, and one disposed of never aborts', async t => {
  const stop = new AbortController();
  const listeners = (): number => getEventListeners(stop.signal, 'abort').length;
  const timed = deadline(10, stop.signal);
  const kept = deadline(10, stop.signal);
  const either = anySignal(stop.signal, stop.signal);
  t.equal(listeners(), 4);
  kept[Symbol.dispose]();
  await new Promise(resolve => setTimeout(resolve, 50));
  t.equal(timed.aborted, true);
  t.equal(kept.aborted, false);
  t.equal(listeners(), 2);
  stop.abort();
  t.equal(kept.aborted, false);
  t.equal(either.aborted, true);
  t.equal(listeners(), 0);
});

t.test('a deadline fires although garbage was collected and nothing else holds it', async t => {
  // What Node 20 does to AbortSignal.any([signal, AbortSignal.timeout(ms)]), nodejs/node#57736, tried on the same run.
  const program = `
    import { deadline } from ${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)};
    const stop = new AbortController();
    const began = performance.now();
    const fired = new Promise(resolve => {
      deadline(300, stop.signal).addEventListener('abort', () => resolve(performance.now() - began));
    });
    const pressure = setInterval(() => globalThis.gc(), 20);
    const ms = await Promise.race([fired, new Promise(resolve => setTimeout(resolve, 3000, -1))]);
    clearInterval(pressure);
    console.log(ms >= 290 && ms < 2900 ? 'fired' : 'lost ' + ms);`;
  const run = spawnSync(
    process.execPath,
    ['--expose-gc', '--import=./scripts/typescript/register.mjs', '--input-type=module', '-e', program],
    { encoding: 'utf8' },
  );
  t.equal(run.stdout.trim(), 'fired', run.stderr);
});

t.test('a deadline holds no process alive', async t => {
  const program = `import { deadline } from ${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)}; deadline(60000);`;
  const began = performance.now();
  const run = spawnSync(
    process.execPath,
    ['--import=./scripts/typescript/register.mjs', '--input-type=module', '-e', program],
    { timeout: 30_000 },
  );
  t.equal(run.status, 0);
  t.ok(performance.now() - began < 25_000);
});
