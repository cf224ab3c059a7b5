// SPDX-License-Identifier: Apache-2.0
// Widening the surface of the package is a visible act.
import t from 'tap';
import * as userData from '../src/index.js';

t.test('the public names are these', async t => {
  t.strictSame(Object.keys(userData).sort(), [
    'GUEST_PATHS',
    'LETTER_PATHS',
    'SEED_FILE',
    'UserDataError',
    'fileSource',
    'parseApf',
    'parseCloudConfig',
    'provisionFiles',
    'renderApf',
    'renderCloudConfig',
  ]);
});
