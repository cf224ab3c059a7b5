// SPDX-License-Identifier: Apache-2.0
// What the life of a sandbox needs from the rest of the adaptor, in one place. Types only.
import type { Logger } from 'pino';
import type { Identity } from '@peerpod-tls/trust';
import type { DataPath } from '../data-path/data-path.js';
import type { Metrics } from '../metrics.js';
import type { Provider } from '@peerpod-tls/providers';
import type { ProviderWatch } from '../provider-watch.js';
import type { SandboxTable } from './sandbox-table.js';

export interface SandboxSettings {
  readonly podsDir: string;
  readonly forwarderPort: number;
  /** Budget from the VM's addresses to the agent's first answer, in milliseconds. */
  readonly proxyTimeoutMs: number;
  /** `-initdata`, packed; empty: none. */
  readonly initdata: string;
  readonly scratchSpace: boolean;
  /** VMs at one time; null: any number. */
  readonly vmLimit: number | null;
  /** Sandboxes at one time that were created and not started. */
  readonly createdLimit: number;
  /** How long those without a VM are kept, in milliseconds. */
  readonly createdMs: number;
  /** Deadline of one attempt to delete an instance, in milliseconds. Default 600 000, as upstream. */
  readonly deletionMs?: number;
  /** First pause after a failed deletion, in milliseconds; it doubles up to 300 000. Default 1000. */
  readonly deletionRetryMs?: number;
  /** How long a lost link may take to be replaced, in milliseconds. Default 20 000. */
  readonly redialBudgetMs?: number;
}

export interface SandboxDeps {
  readonly settings: SandboxSettings;
  readonly table: SandboxTable;
  readonly provider: Provider;
  readonly providerWatch: ProviderWatch;
  readonly identity: Identity;
  readonly dataPath: DataPath;
  readonly metrics: Metrics;
  readonly log: Logger;
}
