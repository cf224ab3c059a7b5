// SPDX-License-Identifier: Apache-2.0
// Kata's own sandbox code has a pod in use in every way at once (two containers, a command with input and output, polls, a
// call that waits, its watcher) while the adaptor beneath it is killed, replaced and away. The pod notices nothing.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { localFlags, startAdaptor, type RunningAdaptor } from '../../../../test/kit/adaptor-program.js';
import { procFile, temporary } from '../../../../test/kit/directory.js';
import { freePort } from '../../../../test/kit/free-port.js';
import { leftovers, nothing, vmsIn } from '../../../../test/kit/leftovers.js';
import { Program, type LogLine } from '../../../../test/kit/program.js';
import { proxiesOf } from '../../../../test/kit/proxies.js';
import { installRelease } from '../../../../test/kit/release.js';
import {
  buildPeers,
  cgroupsOf,
  keepSandbox,
  runSandbox,
  whyNoSandbox,
  type KeptOutcome,
} from './go-peers.js';

// A cold build of kata's shim code is two minutes of CPU.
t.setTimeout(400_000);
const built = mkdtempSync(path.join(tmpdir(), 'go-'));
t.teardown(() => rmSync(built, { recursive: true, force: true }));
const peers = await buildPeers(built);
const reason = 'reason' in peers ? peers.reason : await whyNoSandbox(peers);
const skip = reason === '' ? false : reason;
const shim = 'reason' in peers ? { forwarder: '', shim: '' } : peers;

const KILLS = 100;

/** What a pod comes to that noticed nothing. */
const UNDISTURBED = { failure: '', code: 3, killed: 128 + 9, left: [] };

function wasUsed(t: Test, outcome: KeptOutcome, seconds: number): void {
  t.match(outcome, UNDISTURBED);
  t.comment(JSON.stringify(outcome));
  t.ok(outcome.polls > seconds * 5, `${outcome.polls} polls were answered`);
  t.ok(outcome.commands > seconds, `${outcome.commands} commands were run`);
  t.ok(outcome.echoed > seconds * 10_000, `${outcome.echoed} bytes went in and came out`);
  t.ok(outcome.slowest < 5000, `the slowest poll took ${outcome.slowest} ms`);
}

t.test('a hundred kills of the adaptor are nothing to a pod', { skip }, async t => {
  const home = temporary(t);
  const pod = `ppt-${process.pid}-kills`;
  const flags = [`-forwarder-port=${await freePort()}`];
  let adaptor: RunningAdaptor = await startAdaptor(t, home, flags);
  const kept = keepSandbox(t, shim, home, pod);
  await kept.up;
  const began = Date.now();
  let next = adaptor.program;
  for (let kill = 0; kill < KILLS; kill += 1) {
    await next.kill('SIGKILL');
    next = new Program(t, 'cloud-api-adaptor', [...localFlags(home), ...flags]);
    // Every other one dies on its way up.
    if (kill % 2 === 0) await next.said('adaptor started');
    else await delay((kill * 37) % 400);
  }
  const seconds = (Date.now() - began) / 1000;
  await next.kill('SIGKILL');
  t.equal(proxiesOf(home).length, 1, 'one proxy has been there all the time');

  // Nobody is there to carry out what kata asks for at the end.
  wasUsed(t, await kept.end(), seconds);
  t.equal(vmsIn(home).length, 1, 'its VM is still there');
  adaptor = await startAdaptor(t, home, flags);
  t.match(await adaptor.program.said('sandbox stopped'), { sandbox: pod }, 'the next adaptor ends it');
  t.match(await adaptor.program.kill('SIGTERM'), { code: 0 });
  t.strictSame(await leftovers(home), nothing);
  t.equal(await cgroupsOf(pod), '');
});

t.test(
  'a pod stays where it is while newer releases are put in the place of older ones',
  { skip },
  async t => {
    const home = temporary(t);
    const programs = path.join(home, 'bin');
    const pod = `ppt-${process.pid}-upgrade`;
    const flags = [`-forwarder-port=${await freePort()}`];
    const file = path.join(programs, 'cloud-api-adaptor.cjs');
    installRelease(programs, '7.0.0');
    let adaptor = await startAdaptor(t, home, flags, { file });
    const [first = 0] = proxiesOf(home);
    const kept = keepSandbox(t, shim, home, pod);
    await kept.up;
    const began = Date.now();
    for (const [at, version] of ['7.1.0', '7.2.0', '7.1.0'].entries()) {
      installRelease(programs, version);
      await adaptor.program.kill(at % 2 === 0 ? 'SIGTERM' : 'SIGKILL');
      await delay(500);
      adaptor = await startAdaptor(t, home, flags, { file });
      await adaptor.program.said('proxy of another generation retired');
      t.match(
        procFile(first, 'cmdline'),
        /-generation=7\.0\.0-/,
        'the pod is served by the release it came with',
      );
      await delay(1000);
      // A pod of the new generation lives its whole life beside it.
      const beside = `${pod}-${at}`;
      const outcome = await runSandbox(shim, home, ['sandbox', beside, 'read line; echo got $line; exit 5']);
      t.match(outcome, {
        failure: '',
        worked: { output: 'got from the worker\n', code: 5 },
        killed: 128 + 9,
      });
    }
    const seconds = (Date.now() - began) / 1000;
    wasUsed(t, await kept.end(), seconds);
    t.match(await adaptor.program.said('sandbox stopped', line => line['sandbox'] === pod), {});
    const isFirst = (line: LogLine): boolean => String(line['generation']).startsWith('7.0.0-');
    await adaptor.program.said('proxy of another generation is gone', isFirst);
    t.notOk(proxiesOf(home).includes(first), 'the old proxy ended with its last pod');
    t.equal(proxiesOf(home).length, 1);
    t.match(await adaptor.program.kill('SIGTERM'), { code: 0 });
    t.strictSame(await leftovers(home), nothing);
    t.equal(await cgroupsOf(pod), '');
  },
);
