// SPDX-License-Identifier: Apache-2.0
// A relay with both far ends in a test's hands, and a record of what its observer was told.
import type { Test } from 'tap';
import type { LossCause } from '../../src/liveness/loss.js';
import { startRelay } from '../../src/relay/relay.js';
import type { CallEnded, Relay, RelayObserver, RelayOptions } from '../../src/relay/types.js';
import { Upstreams, Far, streamPair } from './frames.js';
import { silentLog } from './tls.js';

class Watcher implements RelayObserver {
  readonly started: string[] = [];
  readonly ended: [string, number][] = [];
  readonly errors: string[] = [];
  readonly redials: { replayed: number; failed: number }[] = [];
  readonly losses: string[] = [];
  readonly givenUp: string[] = [];
  readonly carried = { request: 0, response: 0 };

  callStarted(_service: string, method: string): void {
    this.started.push(method);
  }
  counter(_service: string, method: string): CallEnded {
    return status => void this.ended.push([method, status]);
  }
  bytes(direction: 'request' | 'response', count: number): void {
    this.carried[direction] += count;
  }
  redialled(_ms: number, replayed: number, failed: number): void {
    this.redials.push({ replayed, failed });
  }
  upstreamLost(cause: LossCause): void {
    this.losses.push(cause);
  }
  notRedialled(cause: LossCause): void {
    this.givenUp.push(cause);
  }
  protocolError(reason: string): void {
    this.errors.push(reason);
  }
}

export interface Rig {
  readonly relay: Relay;
  readonly downstream: Far;
  readonly upstreams: Upstreams;
  readonly watcher: Watcher;
}

/** A relay between two in-memory ends, with a redial budget unless told otherwise; closed when the test ends. */
export function rig(t: Test, o: Partial<RelayOptions> = {}, upstreams = new Upstreams()): Rig {
  const [near, far] = streamPair();
  const watcher = new Watcher();
  const relay = startRelay({
    downstream: near,
    openUpstream: upstreams.open,
    rewrites: [],
    redial: { budgetMs: 20_000 },
    observer: watcher,
    log: silentLog,
    ...o,
  });
  t.teardown(async () => {
    relay.close();
    await relay.closed;
  });
  return { relay, downstream: new Far(far), upstreams, watcher };
}
