// SPDX-License-Identifier: Apache-2.0
// Widening the surface of the package is a visible act.
import t from 'tap';
import * as userData from '../src/index.js';

t.test('the public names are these', async t => {
  t.strictSame(Object.keys(userData).sort(), [
    'GUEST_PATHS',
    'initdataFiles',
    'measureUserData',
    'parseApf',
    'parseCloudConfig',
    'renderApf',
    'renderCloudConfig',
    'renderInitdata',
    'sizesInWords',
  ]);
});
