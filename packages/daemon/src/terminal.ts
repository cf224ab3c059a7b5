// SPDX-License-Identifier: Apache-2.0
// The part of the package that a program at a terminal needs: flags and wrong command lines. Without log, metrics and
// services, whose loading would be felt at every start.
export { UsageError } from './errors.js';
export type { Flag, FlagValues } from './flag-types.js';
export { flagValues } from './flags.js';
export { nearest } from './nearest.js';
export { awaitReady, READY_FD } from './ready-channel.js';
export { reportError } from './report-error.js';
