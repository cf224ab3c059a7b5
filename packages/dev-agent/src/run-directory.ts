// SPDX-License-Identifier: Apache-2.0
// What becomes of the guest's /run/kata-containers, and of the agent's own socket, when a sandbox is created. kata-agent
// removes the whole directory, in which its socket lies by default: it serves the connections it has, and nobody can
// connect any more. What speaks to it has to live with that, so it is the same here.
import { lstatSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf, makeDirectory } from '@peerpod-tls/base';
import type { Logger } from 'pino';

/** kata-agent's directory for containers, rootfs and what the shim copies in. */
const CONTAINERS = 'run/kata-containers';

export interface RunDirectoryOptions {
  /** Directory that stands for the guest's `/`. */
  readonly root: string;
  /** The agent's own socket, wherever it lies. */
  readonly socket: string;
  /** Leave the socket, as kata-agent does when it is told to listen outside of the directory. */
  readonly keepSocket: boolean;
  /** Whether the guest is the machine itself. Default: when the root is `/`. */
  readonly ownMachine?: boolean;
  readonly log: Logger;
}

export class RunDirectory {
  readonly #o: RunDirectoryOptions;
  readonly #path: string;
  readonly #own: boolean;

  /** To be made before the agent listens: what is found here by then was put there by somebody else. */
  constructor(options: RunDirectoryOptions) {
    this.#o = options;
    this.#path = join(options.root, CONTAINERS);
    // The machine's own directory may be that of a kata which runs real pods beside this agent.
    const ownMachine = options.ownMachine ?? options.root === '/';
    this.#own = !ownMachine || isEmpty(this.#path);
  }

  /** Removes what kata-agent removes, and makes the directory anew. */
  clear(): void {
    const { socket, keepSocket, log } = this.#o;
    if (!this.#own) {
      log.warn({ directory: this.#path }, 'directory kept: it held files before this agent started');
    } else if (isPlainDirectory(this.#path)) {
      if (keepSocket && socket.startsWith(`${this.#path}/`)) clearAround(this.#path, socket);
      else rmSync(this.#path, { recursive: true });
    }
    makeDirectory(this.#path, 0o700);
    if (!keepSocket && lstatSync(socket, { throwIfNoEntry: false })?.isSocket() === true) rmSync(socket);
  }
}

function clearAround(directory: string, kept: string): void {
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    if (kept !== path && !kept.startsWith(`${path}/`)) rmSync(path, { recursive: true });
  }
}

/** A link on the way would lead out of the guest. */
function isPlainDirectory(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true && realpathSync(path) === path;
}

function isEmpty(directory: string): boolean {
  try {
    return readdirSync(directory).length === 0;
  } catch (error) {
    return codeOf(error) === 'ENOENT';
  }
}
