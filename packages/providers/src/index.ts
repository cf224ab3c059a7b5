// SPDX-License-Identifier: Apache-2.0
// The public names of @peerpod-tls/providers: the interface every provider implements, and the providers there are, by
// the name they have on the command line.
import { docker } from './docker/docker.js';
import { exec } from './exec/exec.js';
import { local } from './local/local.js';
import type { ProviderModule } from './provider.js';
import { qemu } from './qemu/qemu.js';

export { leftBehind, ProviderError, type ProviderErrorCode } from './errors.js';
export type {
  Diagnosis,
  Instance,
  InstanceSpec,
  Provider,
  ProviderContext,
  ProviderLimits,
  ProviderModule,
} from './provider.js';

export const providers: readonly ProviderModule[] = [local, exec, docker, qemu];
