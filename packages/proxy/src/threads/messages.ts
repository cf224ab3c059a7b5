// SPDX-License-Identifier: Apache-2.0
// What the driving thread and a data path thread say to each other. Plain data; keys travel in one message only, the
// answer to a thread that asks what to dial with.
import type { AgentAnswer, ProxyEvent, ProxySpec, ProxyView } from '../spec.js';
import type { PlainError } from '../plain-error.js';
import type { HeldSecurity } from './held-security.js';

/** What a thread is started with. No secret: it can be read from outside for as long as the thread lives. */
export interface ThreadStart {
  readonly role: typeof THREAD_ROLE;
  readonly thread: number;
  readonly log: { readonly level: string; readonly bindings: Readonly<Record<string, unknown>> };
}

export const THREAD_ROLE = 'peerpod-data-path';

/** What a thread is asked to do; each is answered once. */
export type ThreadTask =
  | { readonly t: 'await-agent'; readonly spec: ProxySpec; readonly deadlineMs: number }
  | { readonly t: 'open'; readonly spec: ProxySpec }
  | { readonly t: 'close'; readonly sandbox: string }
  | { readonly t: 'drain' }
  | { readonly t: 'look' };

export type ToThread =
  | { readonly t: 'task'; readonly id: number; readonly task: ThreadTask }
  /** The caller of a task no longer waits. */
  | { readonly t: 'abort'; readonly id: number }
  | { readonly t: 'security'; readonly id: number; readonly security: HeldSecurity | PlainError };

/** What a thread saw when it was asked to look. */
export interface ThreadLook {
  readonly views: readonly ProxyView[];
  readonly calls: readonly number[];
}

export type TaskAnswer =
  | { readonly t: 'done' }
  | { readonly t: 'agent'; readonly agent: AgentAnswer }
  | { readonly t: 'look'; readonly look: ThreadLook }
  | PlainError;

export type FromThread =
  | { readonly t: 'answer'; readonly id: number; readonly answer: TaskAnswer }
  | { readonly t: 'event'; readonly event: ProxyEvent; readonly sandbox: string }
  /** One line of JSON, as the logger made it. */
  | { readonly t: 'log'; readonly line: string }
  /** What is dialled with? `known` is the version of the material that the thread holds; 0 for none. */
  | { readonly t: 'security'; readonly id: number; readonly material: string; readonly known: number };
