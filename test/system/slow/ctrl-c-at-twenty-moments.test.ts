// SPDX-License-Identifier: Apache-2.0
// Ctrl-C at twenty moments of the first two seconds of a demo.
import t from 'tap';
import { interruptDemo } from '../../kit/demo.js';
import { onlySlow } from '../../kit/slow.js';

t.test('twenty moments, and nothing is left after any of them', onlySlow, async t => {
  for (let moment = 0; moment < 20; moment += 1) {
    const ms = moment * 100;
    const { code, signal, stderr, processes, files } = await interruptDemo(t, ms);
    t.strictSame({ processes, files }, { processes: [], files: [] }, `after ${ms} ms`);
    t.ok(code === 0 || code === 130 || signal === 'SIGINT', `after ${ms} ms: code ${code}, signal ${signal}`);
    t.notMatch(stderr, /\n\s+at |Error:/, `after ${ms} ms: no stack`);
  }
});
