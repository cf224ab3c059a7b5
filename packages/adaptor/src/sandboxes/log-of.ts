// SPDX-License-Identifier: Apache-2.0
// The logger of one sandbox: every line about it can be found by its id and by its pod's name.
import type { Logger } from 'pino';
import { podOf, type Sandbox } from './sandbox.js';

export function logOf({ log }: { readonly log: Logger }, sandbox: Sandbox): Logger {
  return log.child({ sandbox: sandbox.id, pod: podOf(sandbox) });
}
