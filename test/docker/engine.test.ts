// SPDX-License-Identifier: Apache-2.0
// The engine of the other tests when it cannot come up: a reason to skip, in dockerd's own words, and nothing left.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t from 'tap';
import { orReason, startEngine, whyNoEngine } from '../kit/docker-engine.js';

const own = (process.env['PEERPOD_TEST_DOCKER_HOST'] ?? '') === '' ? whyNoEngine() : 'an engine is named';

t.test('a dockerd that ends at its start is quoted', { skip: own !== '' && own }, async t => {
  const home = mkdtempSync(path.join(tmpdir(), 'ppe-'));
  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = home;
  t.teardown(() => {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
    rmSync(home, { recursive: true, force: true });
  });
  const reason = await orReason(() => startEngine(['--storage-driver=no-such-driver']));
  t.match(reason, /^dockerd did not come up: .*driver not supported/);
  t.notMatch(String(reason), '\n');
  t.same(readdirSync(home), []);
});

t.test(
  'what fails for another reason is a failure, not a reason to skip',
  { skip: own !== '' && own },
  async t => {
    await t.rejects(
      orReason(() => Promise.reject(new Error('docker build failed'))),
      { message: 'docker build failed' },
    );
  },
);
