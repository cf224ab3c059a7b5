// SPDX-License-Identifier: Apache-2.0
// The public names of the package: how a process of ours lives.
export { formatDuration, parseDuration } from './duration.js';
export { DaemonError, UsageError, type DaemonErrorCode } from './errors.js';
export type {
  BooleanFlag,
  ChoiceFlag,
  DurationFlag,
  Flag,
  FlagOrigin,
  FlagSpec,
  FlagValue,
  FlagValues,
  IntegerFlag,
  ListFlag,
  ParsedFlags,
  StringFlag,
} from './flag-types.js';
export { helpText } from './flag-help.js';
export { parseFlags, type HelpRequest } from './flags.js';
export {
  createLogger,
  describeError,
  LOG_LEVELS,
  logFormatFlag,
  logLevelFlag,
  type LoggerOptions,
} from './log.js';
export { nodeRefusal } from './node-version.js';
export { nearest } from './nearest.js';
export { awaitReady, READY_FD, type ReadyDetails } from './ready-channel.js';
export { reportError } from './report-error.js';
export { runServices, type RunOptions, type Service } from './run-services.js';
export {
  joinHostPort,
  parseHostPort,
  startStatusServer,
  type CheckResult,
  type MetricsSource,
  type StatusOptions,
  type StatusServer,
} from './status-server.js';
export { notifySystemd, type SystemdState } from './systemd.js';
export {
  listenUnixSocket,
  MAX_SOCKET_PATH,
  type UnixListener,
  type UnixListenOptions,
} from './unix-socket.js';
export { isHelpRequest, isVersionRequest, VERSION, versionBlock } from './version.js';
