// SPDX-License-Identifier: Apache-2.0
// What lies in the directory of one generation of the proxy, by name. Nothing is read or written here.
import { join } from 'node:path';

export interface ProxyFiles {
  /** The proxy serves its control service here. */
  readonly controlSocket: string;
  /** The adaptor serves the hypervisor's calls here. */
  readonly adaptorSocket: string;
  /** A file per sandbox whose socket is to be open. */
  readonly sandboxes: string;
  /** What links are dialled with; holds the private key. */
  readonly material: string;
  /** A file per sandbox whose StopVM waits for an adaptor. */
  readonly stops: string;
  readonly log: string;
}

export function proxyFiles(directory: string): ProxyFiles {
  return {
    controlSocket: join(directory, 'control.sock'),
    adaptorSocket: join(directory, 'adaptor.sock'),
    sandboxes: join(directory, 'sandboxes'),
    material: join(directory, 'material.json'),
    stops: join(directory, 'stops'),
    log: join(directory, 'proxy.log'),
  };
}

/** The name of the program, as the PATH and a directory of bundles have it. */
export const PROXY_PROGRAM = 'agent-protocol-proxy';
