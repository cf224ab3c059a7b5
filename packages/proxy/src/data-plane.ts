// SPDX-License-Identifier: Apache-2.0
// The data plane as its driver sees it. Everything that goes in or comes out is plain data (an abort travels as a
// message of its own), so that an implementation may live in another process. In the thread that drives it that is
// in-process.ts, over several threads threads/threaded.ts.
import type { AgentAnswer, ProxySpec, ProxyView, ThreadView } from './spec.js';

export interface DataPlane {
  /**
   * Dials the VM until its agent answers, for at most `deadlineMs` and until `signal` aborts.
   * @throws LinkError of the last try; ProxyError `ERR_PROXY_TLS_MODE` where the material is not held
   */
  awaitAgent(
    spec: ProxySpec,
    o: { readonly deadlineMs: number; readonly signal: AbortSignal },
  ): Promise<AgentAnswer>;
  /** Opens a sandbox's socket; every connection on it gets a link of its own. Dials nobody by itself. */
  open(spec: ProxySpec): Promise<void>;
  /** Closes a sandbox's socket and its connections now; one that is not open is closed already. */
  close(sandbox: string): Promise<void>;
  /** Closes every socket, lets calls end that can, and then closes the rest; at once when `signal` is aborted. */
  drain(signal: AbortSignal): Promise<void>;
  /** The sockets that are open. */
  views(): Promise<readonly ProxyView[]>;
  /** The threads that carry data at this moment. */
  threads(): Promise<readonly ThreadView[]>;
  /** Figures of the calls that passed, in Prometheus' text format. */
  figures(): Promise<string>;
}
