// SPDX-License-Identifier: Apache-2.0
// The providers there are, by the name they have on the command line.
import { docker } from './docker.js';
import { exec } from './exec.js';
import { local } from './local.js';
import { qemu } from './qemu.js';
import type { ProviderModule } from './provider.js';

export const providers: readonly ProviderModule[] = [local, exec, docker, qemu];
