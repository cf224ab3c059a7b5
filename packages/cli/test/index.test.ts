// SPDX-License-Identifier: Apache-2.0
import t from 'tap';
import * as cli from '../src/index.js';

t.test('the public names are these', async t => {
  t.same(Object.keys(cli).sort(), ['CliError', 'ExitCode', 'main']);
});
