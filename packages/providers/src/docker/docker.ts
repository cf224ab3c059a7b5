// SPDX-License-Identifier: Apache-2.0
// The provider `docker`: a pod VM is a container on a Docker Engine, unprivileged unless asked for. Requests, the
// container's shape, the letter's way in and the flags have files of their own.
import { deadline, KeyedMutex } from '@peerpod-tls/base';
import type { FlagValues } from '@peerpod-tls/daemon';
import type { Logger } from 'pino';

import {
  consoleText,
  containerBody,
  inspected,
  instanceFromList,
  LABEL,
  secondName,
  type Inspected,
} from './container.js';
import { connectEngine, EngineRefusal, numberIn, textIn, type DockerEngine } from './engine.js';
import { LetterDirectory, letterArchive } from './user-data.js';
import { flags, readSettings, type DockerSettings } from './settings.js';
import { asProviderError, missingImage, missingNetwork, whyNotCreated } from './refusals.js';
import { ProviderError } from '../errors.js';
import type {
  Diagnosis,
  Instance,
  InstanceSpec,
  Provider,
  ProviderContext,
  ProviderModule,
} from '../provider.js';

/** Milliseconds for taking a failed creation back, whatever its own signal says. */
const UNDO_MS = 30_000;
const CONSOLE_LINES = '20';

const ID = /^[0-9a-f]{12,64}$/;

export const docker: ProviderModule<typeof flags> = {
  name: 'docker',
  describe: 'pod VMs as containers of a Docker Engine',
  flags,
  create: async (values: FlagValues<typeof flags>, context: ProviderContext) => {
    const settings = readSettings(values, context, process.geteuid?.() ?? 0);
    const engine = await connectEngine(settings.engine);
    for (const warning of settings.warnings) context.log.warn({ warning }, 'unusual option in force');
    return new DockerProvider(settings, engine, context.log);
  },
};

class DockerProvider implements Provider {
  readonly name = 'docker';
  readonly limits = { userDataBytes: 1 << 20, nameLength: 63 };
  readonly #settings: DockerSettings;
  readonly #engine: DockerEngine;
  readonly #log: Logger;
  readonly #letters: LetterDirectory | null;
  /** One creation at a time with each token. */
  readonly #turns = new KeyedMutex();

  constructor(settings: DockerSettings, engine: DockerEngine, log: Logger) {
    this.#settings = settings;
    this.#engine = engine;
    this.#log = log;
    this.#letters = settings.letters === null ? null : new LetterDirectory(settings.letters);
  }

  verify(signal: AbortSignal): Promise<void> {
    return this.check(signal);
  }

  /** That the engine answers, that the image and the network are there, and that user-data can be written. */
  async check(signal: AbortSignal): Promise<void> {
    const { image, network } = this.#settings;
    const look = async (path: string, missing: string, hint: string): Promise<void> => {
      try {
        await this.#engine.call('GET', path, { signal });
      } catch (error) {
        if (error instanceof EngineRefusal && error.status === 404) {
          throw new ProviderError('ERR_PROVIDER_UNAVAILABLE', missing, { hint, cause: error });
        }
        throw asProviderError('ERR_PROVIDER_UNAVAILABLE', 'the Docker Engine refused a look', error);
      }
    };
    await look('/version', 'this is no Docker Engine', 'check -docker-host');
    await look(`/images/${encodeURIComponent(image)}/json`, ...missingImage(image));
    await look(`/networks/${encodeURIComponent(network)}`, ...missingNetwork(network));
    await this.#letters?.prepare();
  }

  createInstance(
    spec: InstanceSpec,
    { token, signal }: { readonly token: string; readonly signal: AbortSignal },
  ): Promise<Instance> {
    return this.#turns.run(token, () => this.#create(spec, token, signal));
  }

  async deleteInstance(id: string, signal: AbortSignal): Promise<void> {
    // Anything but an id would be a path in the request.
    if (!ID.test(id)) return;
    const { owner } = this.#settings;
    try {
      const answer = await this.#engine.call('GET', `/containers/${id}/json`, {
        signal,
      });
      if (textIn(answer, 'Config', 'Labels', LABEL.owner) !== owner) return;
      await this.#remove(id, signal);
    } catch (error) {
      if (error instanceof EngineRefusal && error.status === 404) return;
      throw asProviderError('ERR_PROVIDER_DELETE', `the container ${short(id)} was not deleted`, error);
    }
    this.#log.info({ instance: id }, 'container deleted');
  }

  async listInstances(signal: AbortSignal): Promise<readonly Instance[]> {
    await this.#letters?.sweep();
    return this.#list([`${LABEL.owner}=${this.#settings.owner}`], 'ERR_PROVIDER_LIST', signal);
  }

  async diagnose(id: string, signal: AbortSignal): Promise<Diagnosis> {
    if (!ID.test(id)) return { alive: false, console: '' };
    const state = await this.#inspect(id, 'ERR_PROVIDER_LIST', signal);
    if (state === null) return { alive: false, console: '' };
    const console = await this.#console(id, signal);
    return { alive: state.running, console: state.running ? console : `${console}\n${state.ended}`.trim() };
  }

  async close(): Promise<void> {
    await this.#turns.idle();
  }

  async #create(spec: InstanceSpec, token: string, signal: AbortSignal): Promise<Instance> {
    if (signal.aborted) throw new ProviderError('ERR_PROVIDER_ABORTED', 'the request was given up');
    try {
      for (const { id } of await this.#ofToken(token, 'ERR_PROVIDER_CREATE', signal)) {
        const before = await this.#inspect(id, 'ERR_PROVIDER_CREATE', signal);
        if (before?.running) return before.instance;
        // A creation that a crash cut short: nobody has its address, so it is made anew.
        if (before !== null) await this.#remove(id, signal);
      }
      return await this.#make(spec, token, signal);
    } catch (error) {
      throw await this.#undone(spec, token, error, signal);
    } finally {
      await this.#letters?.remove(token);
    }
  }

  async #make(spec: InstanceSpec, token: string, signal: AbortSignal): Promise<Instance> {
    const image = spec.image === '' ? this.#settings.image : spec.image;
    const processors = spec.vcpus > 0 ? await this.#processors(signal) : 0;
    const letter = (await this.#letters?.write(token, spec.userData)) ?? null;
    const body = containerBody(spec, { ...this.#settings, token, image, letter, processors });
    // Not the caller's signal: a request that is cut off may make the container all the same, after we looked for it.
    const id = await this.#createContainer(spec.name, token, body);
    signal.throwIfAborted();
    if (letter === null) {
      await this.#engine.call('PUT', `/containers/${id}/archive`, {
        query: { path: '/' },
        tar: letterArchive(spec.userData),
        signal,
      });
    }
    await this.#engine.call('POST', `/containers/${id}/start`, {
      accept: [304],
      signal,
    });
    const state = await this.#inspect(id, 'ERR_PROVIDER_CREATE', signal);
    if (state === null)
      throw new ProviderError('ERR_PROVIDER_CREATE', 'the container vanished after its start');
    if (!state.running) {
      const console = await this.#console(id, signal);
      throw new ProviderError('ERR_PROVIDER_CREATE', state.ended, {
        hint: console === '' ? undefined : `its console ended with:\n${console}`,
      });
    }
    if (state.instance.addresses.length === 0) {
      throw new ProviderError(
        'ERR_PROVIDER_CREATE',
        `it got no address in the network ${this.#settings.network}`,
        { hint: 'name a bridge network with -docker-network-name' },
      );
    }
    return state.instance;
  }

  async #createContainer(name: string, token: string, body: Record<string, unknown>): Promise<string> {
    const create = async (as: string): Promise<string> =>
      textIn(
        await this.#engine.call('POST', '/containers/create', {
          query: { name: as },
          body,
          signal: deadline(UNDO_MS),
        }),
        'Id',
      );
    const id = await create(name).catch((error: unknown) => {
      if (error instanceof EngineRefusal && error.status === 409) return create(secondName(name, token));
      throw error;
    });
    if (ID.test(id)) return id;
    throw new ProviderError('ERR_PROVIDER_CREATE', 'the engine made a container and gave no id for it');
  }

  /** Takes back what a failed creation left, and says why it failed. */
  async #undone(
    spec: InstanceSpec,
    token: string,
    cause: unknown,
    caller: AbortSignal,
  ): Promise<ProviderError> {
    const signal = deadline(UNDO_MS);
    let left: Instance | undefined;
    try {
      for (const instance of await this.#ofToken(token, 'ERR_PROVIDER_CREATE', signal)) {
        await this.#remove(instance.id, signal).catch(() => {
          left = instance;
        });
      }
    } catch (error) {
      this.#log.warn(
        { err: error, instanceName: spec.name },
        'what a failed creation left could not be looked for',
      );
    }
    const { code, message, hint } = caller.aborted
      ? { code: 'ERR_PROVIDER_ABORTED' as const, message: 'the request was given up', hint: undefined }
      : whyNotCreated(cause, spec.image === '' ? this.#settings.image : spec.image, this.#settings);
    return new ProviderError(code, `the container ${spec.name} was not made: ${message}`, {
      hint,
      cause,
      instance: left,
    });
  }

  async #remove(id: string, signal: AbortSignal): Promise<void> {
    const query = { force: '1', v: '1' };
    try {
      await this.#engine.call('DELETE', `/containers/${id}`, {
        query,
        accept: [404],
        signal,
      });
    } catch (error) {
      if (!(error instanceof EngineRefusal) || error.status !== 409) throw error;
      // Somebody else is removing it already.
      await this.#engine.call('POST', `/containers/${id}/wait`, {
        query: { condition: 'removed' },
        accept: [404],
        signal,
      });
    }
  }

  async #inspect(
    id: string,
    code: 'ERR_PROVIDER_CREATE' | 'ERR_PROVIDER_LIST',
    signal: AbortSignal,
  ): Promise<Inspected | null> {
    try {
      const answer = await this.#engine.call('GET', `/containers/${id}/json`, { signal });
      return inspected(answer, id, this.#settings.network);
    } catch (error) {
      if (error instanceof EngineRefusal && error.status === 404) return null;
      throw asProviderError(code, `the container ${short(id)} cannot be looked at`, error);
    }
  }

  #ofToken(token: string, code: 'ERR_PROVIDER_CREATE', signal: AbortSignal): Promise<readonly Instance[]> {
    return this.#list([`${LABEL.owner}=${this.#settings.owner}`, `${LABEL.token}=${token}`], code, signal);
  }

  async #list(
    label: readonly string[],
    code: 'ERR_PROVIDER_CREATE' | 'ERR_PROVIDER_LIST',
    signal: AbortSignal,
  ): Promise<readonly Instance[]> {
    try {
      const query = { all: '1', filters: JSON.stringify({ label }) };
      const answer = await this.#engine.call('GET', '/containers/json', { query, signal });
      if (!Array.isArray(answer)) throw new ProviderError(code, 'the engine answered with no list');
      return answer.flatMap(entry => instanceFromList(entry, this.#settings.network) ?? []);
    } catch (error) {
      throw asProviderError(code, 'the containers of this adaptor cannot be listed', error);
    }
  }

  /** The last lines of the container's log, empty when there is no log to read. */
  async #console(id: string, signal: AbortSignal): Promise<string> {
    const query = { stdout: '1', stderr: '1', tail: CONSOLE_LINES };
    try {
      const log = await this.#engine.call('GET', `/containers/${id}/logs`, {
        query,
        signal,
      });
      return Buffer.isBuffer(log) ? consoleText(log) : '';
    } catch (error) {
      this.#log.debug({ err: error, instance: id }, 'console not read');
      return '';
    }
  }

  async #processors(signal: AbortSignal): Promise<number> {
    return numberIn(await this.#engine.call('GET', '/info', { signal }), 'NCPU') ?? 0;
  }
}

const short = (id: string): string => id.slice(0, 12);
