// SPDX-License-Identifier: Apache-2.0
// Every command of peerpod, in the order of the help. Only what yargs has to know of them; their code is loaded when run.
import type { Command } from '../command.js';
import { certs } from './certs.js';
import { demo } from './demo.js';
import { proxy } from './proxy.js';
import { agent, run, stop } from './shim.js';
import { orphans, ps, status } from './status.js';

export const commands: readonly Command[] = [demo, run, stop, agent, ps, status, orphans, proxy, certs];
