// SPDX-License-Identifier: Apache-2.0
// What a relay does with a method, looked up once per method and relay. No calls and no bytes here.
import { agentServiceName, traitsOf, type MethodTraits } from '@peerpod-tls/agent-protocol/wire';
import type { CallEnded, RelayObserver, Rewrite } from './types.js';

export interface MethodPlan {
  readonly service: string;
  readonly method: string;
  readonly traits: MethodTraits;
  readonly rewrite: Rewrite | null;
  /** The agent ends after it: what is lost then is no loss. */
  readonly last: boolean;
  /** Names a process anew: what an earlier one of that name left unread is stale. */
  readonly begins: boolean;
  /** Tells the observer that a call of it ended: see there. */
  readonly ended: CallEnded;
}

const uncounted: CallEnded = () => {};

/** Plans kept per relay. A caller that invents method names costs a lookup each, not memory. */
export const MAX_PLANS = 256;

export class MethodPlans {
  readonly #plans = new Map<string, Map<string, MethodPlan>>();
  readonly #rewrites: readonly Rewrite[];
  readonly #observer: RelayObserver;
  #count = 0;

  constructor(rewrites: readonly Rewrite[], observer: RelayObserver) {
    this.#rewrites = rewrites;
    this.#observer = observer;
  }

  /** Plans kept now. */
  get count(): number {
    return this.#count;
  }

  of(service: string, method: string): MethodPlan {
    const known = this.#plans.get(service)?.get(method);
    if (known !== undefined) return known;
    const agent = service === agentServiceName;
    const plan: MethodPlan = {
      service,
      method,
      traits: traitsOf(service, method),
      rewrite: this.#rewrites.find(r => r.service === service && r.method === method) ?? null,
      last: agent && method === 'DestroySandbox',
      begins: agent && (method === 'ExecProcess' || method === 'CreateContainer'),
      ended: this.#observer.counter?.(service, method) ?? uncounted,
    };
    if (this.#count < MAX_PLANS) {
      this.#count++;
      let ofService = this.#plans.get(service);
      if (ofService === undefined) this.#plans.set(service, (ofService = new Map()));
      ofService.set(method, plan);
    }
    return plan;
  }
}
