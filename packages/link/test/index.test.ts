// SPDX-License-Identifier: Apache-2.0
// The public names: adding one is a visible act.
import t from 'tap';
import * as link from '../src/index.js';

t.test('the package exports these names and no others', async t => {
  t.same(Object.keys(link).sort(), [
    'LOSS_CAUSES',
    'SessionTable',
    'SharedUpstream',
    'beginSession',
    'checkHealth',
    'dialLink',
    'dialUntilHealthy',
    'lentConnection',
    'listenLink',
    'lossCause',
    'proveMaterial',
    'readsInForce',
    'startRelay',
    'verifyAsALinkWould',
  ]);
});
