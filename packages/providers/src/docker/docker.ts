// SPDX-License-Identifier: Apache-2.0
// The provider `docker`: a pod VM is a container on a Docker Engine, unprivileged unless asked for. Requests, the
// container's shape, the way of user-data into it and the flags have files of their own.
import { deadline, KeyedMutex } from '@peerpod-tls/base';
import type { FlagValues } from '@peerpod-tls/daemon';
import type { Logger } from 'pino';
import { ProviderError } from '../errors.js';
import type {
  Diagnosis,
  Instance,
  InstanceSpec,
  Provider,
  ProviderContext,
  ProviderModule,
} from '../provider.js';
import { containerBody } from './container.js';
import { Containers } from './containers.js';
import { endpointOf } from './endpoint.js';
import { DockerEngine, EngineRefusal } from './engine.js';
import { asProviderError, missingImage, missingNetwork, whyNotCreated } from './refusals.js';
import { flags, readSettings, type DockerSettings } from './settings.js';
import { UserDataDirectory } from './user-data.js';

/** Milliseconds for taking a failed creation back, whatever its own signal says. */
const UNDO_MS = 30_000;

export const docker: ProviderModule<typeof flags> = {
  name: 'docker',
  describe: 'pod VMs as containers of a Docker Engine',
  flags,
  create: async (values: FlagValues<typeof flags>, context: ProviderContext) => {
    const settings = readSettings(values, context, process.geteuid?.() ?? 0);
    const engine = new DockerEngine(endpointOf(settings.engine));
    for (const warning of settings.warnings) context.log.warn({ warning }, 'unusual option in force');
    return new DockerProvider(settings, engine, context.log);
  },
};

class DockerProvider implements Provider {
  readonly name = 'docker';
  readonly limits = { userDataBytes: 1 << 20, nameLength: 63 };
  readonly #settings: DockerSettings;
  readonly #engine: DockerEngine;
  readonly #containers: Containers;
  readonly #log: Logger;
  /** Null when user-data is copied in. */
  readonly #userData: UserDataDirectory | null;
  /** One creation at a time with each token. */
  readonly #turns = new KeyedMutex();

  constructor(settings: DockerSettings, engine: DockerEngine, log: Logger) {
    this.#settings = settings;
    this.#engine = engine;
    this.#containers = new Containers(engine, settings, log);
    this.#log = log;
    const { userDataHome, dataDir } = settings;
    this.#userData = userDataHome === null ? null : new UserDataDirectory(dataDir, userDataHome);
  }

  /** What `check` looks for, and the default image. */
  async verify(signal: AbortSignal): Promise<void> {
    await this.check(signal);
    const { image } = this.#settings;
    await this.#look(`/images/${encodeURIComponent(image)}/json`, signal, ...missingImage(image));
  }

  /**
   * That the engine answers, that the network is there, and that user-data can be written. Not the default image: pods
   * that name their own can start without.
   */
  async check(signal: AbortSignal): Promise<void> {
    const { network } = this.#settings;
    await this.#look('/version', signal, 'this is no Docker Engine', 'check -docker-host');
    await this.#look(`/networks/${encodeURIComponent(network)}`, signal, ...missingNetwork(network));
    await this.#userData?.check();
  }

  createInstance(
    spec: InstanceSpec,
    { token, signal }: { readonly token: string; readonly signal: AbortSignal },
  ): Promise<Instance> {
    return this.#turns.run(token, () => this.#create(spec, token, signal));
  }

  async deleteInstance(id: string, signal: AbortSignal): Promise<void> {
    if (!Containers.isId(id)) return;
    try {
      if (!(await this.#containers.isOurs(id, signal))) return;
      await this.#containers.remove(id, signal);
    } catch (error) {
      if (error instanceof EngineRefusal && error.status === 404) return;
      throw asProviderError('ERR_PROVIDER_DELETE', `the container ${id.slice(0, 12)} was not deleted`, error);
    }
    this.#log.info({ instance: id }, 'container deleted');
  }

  async listInstances(signal: AbortSignal): Promise<readonly Instance[]> {
    await this.#userData?.sweep();
    return this.#containers.all(signal);
  }

  async diagnose(id: string, signal: AbortSignal): Promise<Diagnosis> {
    if (!Containers.isId(id)) return { alive: false, console: '' };
    const state = await this.#containers.inspect(id, 'ERR_PROVIDER_LIST', signal);
    if (state === null) return { alive: false, console: '' };
    const console = await this.#containers.console(id, signal);
    return { alive: state.running, console: state.running ? console : `${console}\n${state.ended}`.trim() };
  }

  async close(): Promise<void> {
    await this.#turns.idle();
  }

  async #look(path: string, signal: AbortSignal, missing: string, hint: string): Promise<void> {
    try {
      await this.#engine.bytes('GET', path, { signal });
    } catch (error) {
      if (error instanceof EngineRefusal && error.status === 404)
        throw new ProviderError('ERR_PROVIDER_UNAVAILABLE', missing, { hint, cause: error });
      throw asProviderError('ERR_PROVIDER_UNAVAILABLE', 'the Docker Engine refused a look', error);
    }
  }

  async #create(spec: InstanceSpec, token: string, signal: AbortSignal): Promise<Instance> {
    if (signal.aborted) throw new ProviderError('ERR_PROVIDER_ABORTED', 'the request was given up');
    // Of an engine that nobody reaches nothing was asked, so that nothing can be left.
    let reached = false;
    try {
      const earlier = await this.#containers.ofToken(token, signal);
      reached = true;
      for (const { id } of earlier) {
        const before = await this.#containers.inspect(id, 'ERR_PROVIDER_CREATE', signal);
        if (before?.running) return before.instance;
        // A creation that a crash cut short: nobody has its address, so it is made anew.
        if (before !== null) await this.#containers.remove(id, signal);
      }
      return await this.#make(spec, token, signal);
    } catch (error) {
      const left = reached ? await this.#takeBack(spec, token) : undefined;
      throw await this.#whyNotMade(spec, error, left, signal);
    } finally {
      await this.#userData?.remove(token);
    }
  }

  async #make(spec: InstanceSpec, token: string, signal: AbortSignal): Promise<Instance> {
    const image = this.#imageOf(spec);
    const processors = spec.vcpus > 0 ? (await this.#containers.engineFacts(signal)).processors : 0;
    const mounted = (await this.#userData?.write(token, spec.userData)) ?? null;
    const body = containerBody(spec, { ...this.#settings, token, image, userData: mounted, processors });
    const id = await this.#containers.create(spec.name, token, body);
    signal.throwIfAborted();
    if (mounted === null) await this.#containers.copyUserData(id, spec.userData, signal);
    await this.#containers.start(id, signal);
    const state = await this.#containers.inspect(id, 'ERR_PROVIDER_CREATE', signal);
    if (state === null)
      throw new ProviderError('ERR_PROVIDER_CREATE', 'the container vanished after its start');
    if (!state.running) {
      const console = await this.#containers.console(id, signal);
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

  /** Removes what a failed creation left; gives what would not go. */
  async #takeBack(spec: InstanceSpec, token: string): Promise<Instance | undefined> {
    using signal = deadline(UNDO_MS);
    let left: Instance | undefined;
    try {
      for (const instance of await this.#containers.ofToken(token, signal)) {
        await this.#containers.remove(instance.id, signal).catch(() => {
          left = instance;
        });
      }
    } catch (error) {
      this.#log.warn(
        { err: error, instanceName: spec.name },
        'what a failed creation left could not be looked for',
      );
    }
    return left;
  }

  async #whyNotMade(
    spec: InstanceSpec,
    cause: unknown,
    instance: Instance | undefined,
    caller: AbortSignal,
  ): Promise<ProviderError> {
    using signal = deadline(UNDO_MS);
    const why = caller.aborted
      ? new ProviderError('ERR_PROVIDER_ABORTED', 'the request was given up')
      : await whyNotCreated(cause, {
          image: this.#imageOf(spec),
          network: this.#settings.network,
          rootDir: async () => (await this.#containers.engineFacts(signal)).rootDir,
        });
    const message = `the container ${spec.name} was not made: ${why.message}`;
    return new ProviderError(why.code, message, { hint: why.hint, cause, instance });
  }

  #imageOf(spec: InstanceSpec): string {
    return spec.image === '' ? this.#settings.image : spec.image;
  }
}
