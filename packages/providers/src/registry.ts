// SPDX-License-Identifier: Apache-2.0
// The providers there are, by the name they have on the command line. A new one is a line here.
import { docker } from './docker/docker.js';
import { exec } from './exec/exec.js';
import { local } from './local/local.js';
import type { ProviderModule } from './provider.js';
import { qemu } from './qemu/qemu.js';

export const providers: readonly ProviderModule[] = [local, exec, docker, qemu];
