// SPDX-License-Identifier: Apache-2.0
// The data path as sandboxes see it: whose processes carry it, and how many there are, is nothing they know.
import type { AgentAnswer, ProxySpec, ProxyView, ThreadView } from '@peerpod-tls/proxy/control';

export interface DataPath {
  /**
   * Dials the VM until its agent answers, for at most `deadlineMs` and until `signal` aborts.
   * @throws what the last try met; `ERR_PROXY_TLS_MODE` where the material is not held
   */
  awaitAgent(
    spec: ProxySpec,
    o: { readonly deadlineMs: number; readonly signal: AbortSignal },
  ): Promise<AgentAnswer>;
  /** Opens a sandbox's socket; every connection on it gets a link of its own. Dials nobody by itself. */
  open(spec: ProxySpec): Promise<void>;
  /** Closes a sandbox's socket and its connections now; one that is not open is closed already. */
  close(sandbox: string): Promise<void>;
  /** Whether a sandbox's socket is open. */
  holds(sandbox: string): boolean;
  /** The sockets that are open. */
  views(): Promise<readonly ProxyView[]>;
  /** The threads that carry data at this moment. */
  threads(): Promise<readonly ThreadView[]>;
  /** Figures of the calls that passed, in Prometheus' text format. */
  figures(): Promise<string>;
}
