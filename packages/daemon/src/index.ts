// SPDX-License-Identifier: Apache-2.0
// The public names of the package: how a process of ours lives.
export { UsageError } from './errors.js';
export { formatDuration } from './duration.js';
export type { Flag, FlagValues } from './flag-types.js';
export { parseFlags, type HelpRequest } from './flags.js';
export { createLogger, logFormatFlag, logLevelFlag } from './log.js';
export { awaitReady, READY_FD, type ReadyDetails } from './ready-channel.js';
export { reportError } from './report-error.js';
export { runServices, type Service } from './run-services.js';
export {
  joinHostPort,
  parseHostPort,
  startStatusServer,
  type CheckResult,
  type MetricsSource,
  type StatusServer,
} from './status-server.js';
export { listenAside } from './listen-aside.js';
export { MAX_SOCKET_PATH } from './socket-path.js';
export { listenUnixSocket, type UnixListener } from './unix-socket.js';
export { isHelpRequest, isVersionRequest, VERSION, versionBlock } from './version.js';
