// SPDX-License-Identifier: Apache-2.0
import t from 'tap';

import * as forwarder from '../src/index.js';

t.test('the public names are these and no others', async t => {
  t.same(Object.keys(forwarder).sort(), ['ForwarderError', 'readOptions', 'startForwarder']);
});
