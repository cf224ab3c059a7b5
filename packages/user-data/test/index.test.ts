// SPDX-License-Identifier: Apache-2.0
// Widening the surface of the package is a visible act.
import t from 'tap';
import * as userData from '../src/index.js';

t.test('the public names are these', async t => {
  t.strictSame(Object.keys(userData).sort(), [
    'GUEST_PATHS',
    'INITDATA_PATHS',
    'MAX_INITDATA_BYTES',
    'SEED_FILE',
    'USER_DATA_PATHS',
    'UserDataError',
    'fileSource',
    'initdataFiles',
    'measureUserData',
    'parseApf',
    'parseCloudConfig',
    'parseInitdata',
    'provisionFiles',
    'renderApf',
    'renderCloudConfig',
    'renderInitdata',
    'sizesInWords',
    'unpackInitdata',
  ]);
});
