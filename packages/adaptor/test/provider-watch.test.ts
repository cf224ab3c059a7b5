// SPDX-License-Identifier: Apache-2.0
// Readiness as the provider sees it: its reason, its metric, and one line of the log per change.
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { ProviderWatch } from '../src/provider-watch.js';
import { annotations, captureLog, eventually, PORT, startRig, status } from './kit/adaptor.js';
import { TestProvider } from './kit/provider.js';

t.test(
  'a provider that could make no instance makes the adaptor unready, and a start fails with its words',
  async t => {
    const provider = new TestProvider(PORT);
    provider.trouble = Object.assign(new Error('the engine is away'), {
      code: 'ERR_PROVIDER_UNAVAILABLE',
      hint: 'start it',
    });
    const rig = await startRig(t, { provider });
    const get = async (path: string): Promise<string> => {
      const answer = await fetch(`http://${rig.adaptor.statusAddress}${path}`);
      return `${answer.status} ${await answer.text()}`;
    };
    t.equal(await get('/readyz'), '503 provider test: the engine is away\n');
    t.match(await get('/startup'), /^200 /, 'a roll-out does not depend on it');
    t.match(await get('/metrics'), /^peerpod_provider_ready 0$/m);
    await rig.hypervisor.CreateVM({ id: 'a', annotations: annotations(), networkNamespacePath: '' });
    await t.rejects(rig.hypervisor.StartVM({ id: 'a' }), status(14, /^the engine is away \(start it\)$/));
    t.equal(provider.specs.length, 0, 'nothing was asked for');
    provider.failDelete = 99;
    await rig.hypervisor.StopVM({ id: 'a' });
    t.strictSame(
      rig.log.lines().filter(({ msg }) => msg === 'instance not deleted'),
      [],
      'so nothing is to be deleted',
    );
    provider.trouble = null;
    await rig.hypervisor.CreateVM({ id: 'b', annotations: annotations(), networkNamespacePath: '' });
    await rig.hypervisor.StartVM({ id: 'b' });
    t.ok(await eventually(() => rig.log.lines().some(({ msg }) => msg === 'provider ready again')));
    t.equal(await get('/readyz'), '200 ready\n');
    t.match(await get('/metrics'), /^peerpod_provider_ready 1$/m);
  },
);

t.test('a provider that does not answer is not ready, and its reason is said once', async t => {
  const provider = new TestProvider(PORT);
  let answer = new Promise<void>(() => {});
  provider.check = () => answer;
  const log = captureLog();
  // The watch itself keeps no process alive.
  const alive = setInterval(() => {}, 1000);
  t.teardown(() => clearInterval(alive));
  const watch = new ProviderWatch({ provider, log: log.log, againMs: 20, answerMs: 50 });
  t.match(watch.result, { ok: false, reason: 'provider test: not asked yet' });
  await watch.start();
  t.match(watch.result, { ok: false, reason: 'provider test: it did not answer within 50 ms' });
  await delay(200);
  t.equal(log.lines().filter(({ msg }) => msg === 'provider not ready').length, 1);
  await t.rejects(watch.require(), { code: 'ERR_ADAPTOR_PROVIDER_SILENT' });
  answer = Promise.resolve();
  t.ok(await eventually(() => watch.ready));
  await watch.close();
});
