// SPDX-License-Identifier: Apache-2.0
// The sandboxes there are, in memory and on disk in step: a change is on disk before anybody sees it. Who may change
// what, and what follows from a change, is decided elsewhere.
import type { Sandbox } from './sandbox.js';

/** What the table needs of the store; `SandboxStore` is one. */
export interface SandboxFiles {
  save(sandbox: Sandbox): Promise<void>;
  remove(id: string): Promise<void>;
}

export class SandboxTable {
  readonly #files: SandboxFiles;
  readonly #rows = new Map<string, Sandbox>();
  readonly #turns = new Map<string, Promise<unknown>>();
  readonly #waiting = new Set<() => void>();

  constructor(files: SandboxFiles, loaded: readonly Sandbox[] = []) {
    this.#files = files;
    for (const sandbox of loaded) this.#rows.set(sandbox.id, sandbox);
  }

  get(id: string): Sandbox | undefined {
    return this.#rows.get(id);
  }

  values(): Iterable<Sandbox> {
    return this.#rows.values();
  }

  get size(): number {
    return this.#rows.size;
  }

  /** Enters a sandbox; false, with nothing written, when there is one of that id already or on its way in. */
  async add(sandbox: Sandbox): Promise<boolean> {
    const { id } = sandbox;
    if (this.#rows.has(id)) return false;
    // In memory first: a second CreateVM of this id that comes while the disk works must see it.
    this.#rows.set(id, sandbox);
    try {
      await this.#inTurn(id, () => this.#files.save(sandbox));
    } catch (error) {
      this.#rows.delete(id);
      throw error;
    }
    this.#tell();
    return true;
  }

  /** Changes a sandbox; on disk when it resolves. A disk that fails leaves the row as it was. */
  async change(id: string, step: (sandbox: Sandbox) => Sandbox): Promise<Sandbox> {
    const next = await this.#inTurn(id, async () => {
      const changed = step(this.#require(id));
      await this.#files.save(changed);
      this.#rows.set(id, changed);
      return changed;
    });
    this.#tell();
    return next;
  }

  /** As `change`, for steps that must happen even if the disk fails: the error comes after the row has changed. */
  async force(id: string, step: (sandbox: Sandbox) => Sandbox): Promise<unknown> {
    const failure = await this.#inTurn(id, async () => {
      const changed = step(this.#require(id));
      this.#rows.set(id, changed);
      return this.#files.save(changed).then(
        () => undefined,
        (error: unknown) => error,
      );
    });
    this.#tell();
    return failure;
  }

  async remove(id: string): Promise<void> {
    try {
      await this.#inTurn(id, () => this.#files.remove(id));
    } finally {
      this.#rows.delete(id);
      this.#tell();
    }
  }

  /** Resolves at the next change of any sandbox; rejects with the signal's reason. */
  nextChange(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        signal.removeEventListener('abort', aborted);
        this.#waiting.delete(done);
        resolve();
      };
      const aborted = (): void => {
        this.#waiting.delete(done);
        reject(signal.reason);
      };
      if (signal.aborted) return aborted();
      signal.addEventListener('abort', aborted, { once: true });
      this.#waiting.add(done);
    });
  }

  #tell(): void {
    for (const wake of this.#waiting) wake();
  }

  #require(id: string): Sandbox {
    const sandbox = this.#rows.get(id);
    if (sandbox === undefined) throw new Error(`internal error: sandbox ${id} is not in the table`);
    return sandbox;
  }

  /** One write at a time per sandbox, in the order they were asked for. */
  async #inTurn<T>(id: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#turns.get(id) ?? Promise.resolve()).then(work);
    const settled = turn.then(
      () => undefined,
      () => undefined,
    );
    this.#turns.set(id, settled);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(id) === settled) this.#turns.delete(id);
    }
  }
}
