// SPDX-License-Identifier: Apache-2.0
// Widening the surface of the package is a visible act.
import t from 'tap';
import * as daemon from '../src/index.js';

t.test('the public names are these', async t => {
  t.strictSame(Object.keys(daemon).sort(), [
    'MAX_SOCKET_PATH',
    'READY_FD',
    'UsageError',
    'VERSION',
    'awaitReady',
    'createLogger',
    'formatDuration',
    'isHelpRequest',
    'isVersionRequest',
    'joinHostPort',
    'listenAside',
    'listenUnixSocket',
    'logFormatFlag',
    'logLevelFlag',
    'parseFlags',
    'parseHostPort',
    'reportError',
    'runServices',
    'startStatusServer',
    'versionBlock',
  ]);
});
