// SPDX-License-Identifier: Apache-2.0
// What every other package stands on. Nothing here knows of pods, certificates or protocols.

export { abortable, abortReason, sleep } from './abortable.js';
export { Backoff, type BackoffOptions } from './backoff.js';
export { anySignal, deadline, type Deadline } from './deadline.js';
export {
  CodedError,
  codeOf,
  FileError,
  hintOf,
  messageOf,
  reasonOf,
  type ErrorDetails,
  type FileErrorCode,
} from './errors.js';
export { KeyedMutex } from './keyed-mutex.js';
export { atDate, startTimer, type DateTimerOptions, type TimerOptions } from './long-timer.js';
export { makeDirectory } from './make-directory.js';
export { readSmallFile, type ReadFileOptions, type SmallFile } from './read-file.js';
export { makeSecretDirectory, sweepSecretDirectory, writeSecretFile, writeSecretSet } from './secret-file.js';
