// SPDX-License-Identifier: Apache-2.0
// Which data plane there is for how many threads.
import type { LinkSecurity } from '@peerpod-tls/link';
import type { Logger } from 'pino';
import type { DataPlane } from './data-plane.js';
import { InProcessDataPlane } from './in-process.js';
import type { EventListener } from './spec.js';
import { ThreadedDataPlane } from './threads/threaded.js';

export interface DataPlaneOptions {
  /** Threads that carry data. 1: the calling one, and no other is started. */
  readonly threads: number;
  /** What a spec's material stands for; null when this process does not hold it. Asked for each dial. */
  readonly security: (material: string) => LinkSecurity | null;
  readonly onEvent: EventListener;
  readonly log: Logger;
}

export function openDataPlane(o: DataPlaneOptions): DataPlane {
  return o.threads === 1 ? new InProcessDataPlane(o) : new ThreadedDataPlane(o);
}
