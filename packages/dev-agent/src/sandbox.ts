// SPDX-License-Identifier: Apache-2.0
// The sandbox: its name and its containers by id. One per agent, as in a pod VM.
import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { StatusCode, StatusError } from '@peerpod-tls/ttrpc';
import { Container } from './container.js';
import type { ProcessPlan } from './guest-process.js';
import { alreadyExists, invalidArgument, notFound } from './guest-status.js';

/** More than any pod has; what asks for more is not a shim. */
const MAX_CONTAINERS = 1024;
const idPattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;

export class Sandbox {
  readonly #containers = new Map<string, Container>();
  readonly #log: Logger;
  /** Tells the containers of this agent from those of another one with the same names. */
  readonly #instance = randomUUID();
  #id: string | null = null;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** @throws StatusError AlreadyExists while there is one */
  create(id: string): void {
    if (id !== '') checkId('sandbox_id', id);
    if (this.#id !== null) throw alreadyExists(`this agent has the sandbox ${this.#id} already`);
    this.#id = id;
    this.#log.info({ sandbox: id }, 'sandbox created');
  }

  /** Ends every process of every container and forgets them. Fine without a sandbox. */
  async destroy(deadline: number | null): Promise<void> {
    const containers = [...this.#containers.values()];
    await Promise.all(containers.map(container => container.killAll(deadline)));
    for (const { id } of containers) this.#containers.delete(id);
    if (this.#id !== null)
      this.#log.info({ sandbox: this.#id, containers: containers.length }, 'sandbox destroyed');
    this.#id = null;
  }

  /** The value that marks the processes of a container of this agent. */
  markOf(containerId: string): string {
    return `${this.#instance}/${containerId}`;
  }

  /** @throws StatusError AlreadyExists */
  add(id: string, plan: () => ProcessPlan): Container {
    checkId('container_id', id);
    if (this.#containers.has(id)) throw alreadyExists(`container ${id} exists already`);
    if (this.#containers.size >= MAX_CONTAINERS) {
      throw new StatusError(
        StatusCode.resourceExhausted,
        `this agent has ${MAX_CONTAINERS} containers already`,
      );
    }
    const container = new Container(id, this.markOf(id), plan(), this.#log);
    this.#containers.set(id, container);
    return container;
  }

  /** @throws StatusError NotFound */
  container(id: string): Container {
    const found = this.#containers.get(id);
    if (found === undefined) throw notFound(`there is no container ${JSON.stringify(id.slice(0, 128))}`);
    return found;
  }

  /** Ends the container's processes and forgets it. */
  async remove(id: string, deadline: number | null): Promise<void> {
    await this.container(id).killAll(deadline);
    this.#containers.delete(id);
    this.#log.info({ container: id }, 'container removed');
  }

  get containers(): readonly Container[] {
    return [...this.#containers.values()];
  }
}

/** @throws StatusError InvalidArgument */
export function checkId(field: string, id: string): void {
  if (!idPattern.test(id)) {
    throw invalidArgument(
      `${field} ${JSON.stringify(id.slice(0, 128))} is not 1 to 128 letters, digits, dots, dashes or underscores`,
    );
  }
}
