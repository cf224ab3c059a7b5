// SPDX-License-Identifier: Apache-2.0
// Ctrl-C as a terminal sends it, to every process of the demo's group at once, while the demo comes up. Four moments
// here; slow/ has twenty.
import t from 'tap';
import { interruptDemo } from '../../kit/demo.js';

t.test('no process and no file is left', { timeout: 40_000 }, async t => {
  for (const ms of [120, 400, 900, 1_600]) {
    const { code, signal, stderr, processes, files } = await interruptDemo(t, ms);
    t.strictSame({ processes, files }, { processes: [], files: [] }, `after ${ms} ms`);
    t.ok(code === 0 || code === 130 || signal === 'SIGINT', `after ${ms} ms: code ${code}, signal ${signal}`);
    t.notMatch(stderr, /\n\s+at |Error:/, `after ${ms} ms: no stack`);
  }
});
