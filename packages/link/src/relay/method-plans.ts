// SPDX-License-Identifier: Apache-2.0
// What a relay does with a method, looked up once per method, for all relays with the same rewrites. No calls and no bytes here.
import {
  agentMethods,
  agentServiceName,
  traitsOf,
  type MethodTraits,
} from '@peerpod-tls/agent-protocol/wire';
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

/** Plans kept of methods that the agent does not have. A caller that invents names costs a lookup each, not memory. */
export const MAX_PLANS = 256;

/** Relays of one program have the same rewrites: what they keep of methods is kept once, not for each link. */
const shared = new WeakMap<readonly Rewrite[], WeakMap<RelayObserver, MethodPlans>>();

/** The plans of all relays with this list of rewrites and this observer. */
export function plansOf(rewrites: readonly Rewrite[], observer: RelayObserver): MethodPlans {
  let ofRewrites = shared.get(rewrites);
  if (ofRewrites === undefined) shared.set(rewrites, (ofRewrites = new WeakMap()));
  let plans = ofRewrites.get(observer);
  if (plans === undefined) ofRewrites.set(observer, (plans = new MethodPlans(rewrites, observer)));
  return plans;
}

export class MethodPlans {
  readonly #plans = new Map<string, Map<string, MethodPlan>>();
  readonly #rewrites: readonly Rewrite[];
  readonly #observer: RelayObserver;
  #count = 0;

  constructor(rewrites: readonly Rewrite[], observer: RelayObserver) {
    this.#rewrites = rewrites;
    this.#observer = observer;
  }

  /** Plans kept now, besides those of the agent's own methods. */
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
    // The agent's own are few and always kept: no caller can crowd them out for the others.
    const own = agent && agentMethods.includes(method);
    if (own || this.#count < MAX_PLANS) {
      if (!own) this.#count++;
      let ofService = this.#plans.get(service);
      if (ofService === undefined) this.#plans.set(service, (ofService = new Map()));
      ofService.set(method, plan);
    }
    return plan;
  }
}
