// SPDX-License-Identifier: Apache-2.0
// Widening the surface of the package is a visible act.
import t from 'tap';
import * as daemon from '../src/index.js';

t.test('the public names are these', async t => {
  t.strictSame(Object.keys(daemon).sort(), [
    'DaemonError',
    'LOG_LEVELS',
    'MAX_SOCKET_PATH',
    'READY_FD',
    'UsageError',
    'VERSION',
    'awaitReady',
    'createLogger',
    'describeError',
    'formatDuration',
    'helpText',
    'isHelpRequest',
    'isVersionRequest',
    'joinHostPort',
    'listenUnixSocket',
    'logFormatFlag',
    'logLevelFlag',
    'nearest',
    'nodeRefusal',
    'notifySystemd',
    'parseDuration',
    'parseFlags',
    'parseHostPort',
    'reportError',
    'runServices',
    'startStatusServer',
    'versionBlock',
  ]);
});
