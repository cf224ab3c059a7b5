// SPDX-License-Identifier: Apache-2.0
// The containers of one adaptor on a Docker Engine: found, made, started, looked at and removed, each by a request or
// two. When which of it is done is the provider's affair.
import { deadline } from '@peerpod-tls/base';
import type { Logger } from 'pino';
import { ProviderError, type ProviderErrorCode } from '../errors.js';
import type { Instance } from '../provider.js';
import { consoleText, inspected, instanceFromList, LABEL, secondName, type Inspected } from './container.js';
import { EngineRefusal, type DockerEngine } from './engine.js';
import { numberIn, textIn } from './field.js';
import { asProviderError } from './refusals.js';
import { userDataArchive } from './user-data.js';

/** For a request that must not be cut off in its middle, in milliseconds. */
const WHOLE_MS = 30_000;
const CONSOLE_LINES = '20';

const ID = /^[0-9a-f]{12,64}$/;

/** What an engine tells of itself. */
export interface EngineFacts {
  /** 0 where it does not say. */
  readonly processors: number;
  /** Where it keeps images and containers; empty where it does not say. */
  readonly rootDir: string;
}

export class Containers {
  readonly #engine: DockerEngine;
  readonly #owner: string;
  readonly #network: string;
  readonly #log: Logger;

  constructor(
    engine: DockerEngine,
    { owner, network }: { readonly owner: string; readonly network: string },
    log: Logger,
  ) {
    this.#engine = engine;
    this.#owner = owner;
    this.#network = network;
    this.#log = log;
  }

  /** Whether a text can be a container's id: anything else would be a path in a request. */
  static isId(id: string): boolean {
    return ID.test(id);
  }

  /** Whether a container is there and made by this adaptor. @throws EngineRefusal, ProviderError */
  async isOurs(id: string, signal: AbortSignal): Promise<boolean> {
    const answer = await this.#engine.call('GET', `/containers/${id}/json`, { signal });
    return textIn(answer, 'Config', 'Labels', LABEL.owner) === this.#owner;
  }

  all(signal: AbortSignal): Promise<readonly Instance[]> {
    return this.#list([], 'ERR_PROVIDER_LIST', signal);
  }

  ofToken(token: string, signal: AbortSignal): Promise<readonly Instance[]> {
    return this.#list([`${LABEL.token}=${token}`], 'ERR_PROVIDER_CREATE', signal);
  }

  /**
   * Makes a container; gives its id. Takes no signal: a request that is cut off may make one all the same, after
   * somebody looked for it.
   */
  async create(name: string, token: string, body: Readonly<Record<string, unknown>>): Promise<string> {
    const create = async (as: string): Promise<string> => {
      using signal = deadline(WHOLE_MS);
      return textIn(
        await this.#engine.call('POST', '/containers/create', { query: { name: as }, body, signal }),
        'Id',
      );
    };
    const id = await create(name).catch((error: unknown) => {
      if (error instanceof EngineRefusal && error.status === 409) return create(secondName(name, token));
      throw error;
    });
    if (ID.test(id)) return id;
    throw new ProviderError('ERR_PROVIDER_CREATE', 'the engine made a container and gave no id for it');
  }

  async copyUserData(id: string, userData: string, signal: AbortSignal): Promise<void> {
    const tar = userDataArchive(userData);
    await this.#engine.bytes('PUT', `/containers/${id}/archive`, { query: { path: '/' }, tar, signal });
  }

  async start(id: string, signal: AbortSignal): Promise<void> {
    await this.#engine.bytes('POST', `/containers/${id}/start`, { accept: [304], signal });
  }

  /** Null when there is no such container. */
  async inspect(
    id: string,
    code: 'ERR_PROVIDER_CREATE' | 'ERR_PROVIDER_LIST',
    signal: AbortSignal,
  ): Promise<Inspected | null> {
    try {
      const answer = await this.#engine.call('GET', `/containers/${id}/json`, { signal });
      return inspected(answer, id, this.#network);
    } catch (error) {
      if (error instanceof EngineRefusal && error.status === 404) return null;
      throw asProviderError(code, `the container ${id.slice(0, 12)} cannot be looked at`, error);
    }
  }

  /** Removes a container whatever it does; one that is gone is a success. */
  async remove(id: string, signal: AbortSignal): Promise<void> {
    const accept = [404];
    try {
      await this.#engine.bytes('DELETE', `/containers/${id}`, {
        query: { force: '1', v: '1' },
        accept,
        signal,
      });
    } catch (error) {
      if (!(error instanceof EngineRefusal) || error.status !== 409) throw error;
      // Somebody else is removing it already.
      const query = { condition: 'removed' };
      await this.#engine.bytes('POST', `/containers/${id}/wait`, { query, accept, signal });
    }
  }

  /** The last lines of the container's log, empty when there is no log to read. */
  async console(id: string, signal: AbortSignal): Promise<string> {
    const query = { stdout: '1', stderr: '1', tail: CONSOLE_LINES };
    try {
      return consoleText(await this.#engine.bytes('GET', `/containers/${id}/logs`, { query, signal }));
    } catch (error) {
      this.#log.debug({ err: error, instance: id }, 'console not read');
      return '';
    }
  }

  async engineFacts(signal: AbortSignal): Promise<EngineFacts> {
    const info = await this.#engine.call('GET', '/info', { signal });
    return { processors: numberIn(info, 'NCPU') ?? 0, rootDir: textIn(info, 'DockerRootDir') };
  }

  async #list(
    more: readonly string[],
    code: ProviderErrorCode,
    signal: AbortSignal,
  ): Promise<readonly Instance[]> {
    try {
      const label = [`${LABEL.owner}=${this.#owner}`, ...more];
      const query = { all: '1', filters: JSON.stringify({ label }) };
      const answer = await this.#engine.call('GET', '/containers/json', { query, signal });
      if (!Array.isArray(answer)) throw new ProviderError(code, 'the engine answered with no list');
      return answer.flatMap(entry => instanceFromList(entry, this.#network) ?? []);
    } catch (error) {
      throw asProviderError(code, 'the containers of this adaptor cannot be listed', error);
    }
  }
}
