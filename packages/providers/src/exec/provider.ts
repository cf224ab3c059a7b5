// SPDX-License-Identifier: Apache-2.0
// The provider `exec` at work: which command runs when, and what its end means. The commands, reading their answers
// and remembering instances have files of their own.
import { deadline, KeyedMutex } from '@peerpod-tls/base';
import type { Logger } from 'pino';
import { ProviderError } from '../errors.js';
import { isId, parseCreateAnswer } from './answer.js';
import type { AnsweredInstance } from './answer.js';
import { ExecCommands, scriptFailure, type CommandSettings } from './commands.js';
import { howItEnded, lastLine, tailOf } from './failure.js';
import { endStrayCommand, type Outcome } from './run.js';
import { ExecTable, instanceOf, isUnfinishedId, keyOf, type ExecRecord } from './table.js';
import { checkHome } from '../host/data-dir.js';
import { findProgram } from '../host/program.js';
import type { Instance, InstanceSpec, Provider } from '../provider.js';

/** For deleting what a creation that was given up left, in milliseconds; after it the adaptor tries again by itself. */
const CLEANUP_MS = 60_000;

export interface ExecSettings extends CommandSettings {
  readonly userDataBytes: number;
  readonly dataDir: string;
  /** Below the data directory; what this adaptor remembers. */
  readonly home: string;
  readonly log: Logger;
}

export class ExecProvider implements Provider {
  readonly name = 'exec';
  readonly limits: Provider['limits'];
  readonly #settings: ExecSettings;
  readonly #commands: ExecCommands;
  readonly #table: ExecTable;
  readonly #turns = new KeyedMutex();

  constructor(settings: ExecSettings) {
    this.#settings = settings;
    this.#commands = new ExecCommands(settings);
    this.#table = new ExecTable(settings.dataDir, settings.home, settings.log);
    this.limits = { userDataBytes: settings.userDataBytes, nameLength: 63 };
  }

  async verify(signal: AbortSignal): Promise<void> {
    await this.#table.open();
    await this.#commands.list(signal);
  }

  /** That the table can be written to, and that the commands are there. None of them is run: that may cost money. */
  async check(): Promise<void> {
    const { dataDir, home, create, remove, list } = this.#settings;
    await checkHome(dataDir, home);
    for (const command of [create, remove, list]) {
      if (command === null || findProgram(command.program).t === 'found') continue;
      const text = `${command.program} (${command.flag}) is gone, or may not be executed any more`;
      throw new ProviderError('ERR_PROVIDER_UNAVAILABLE', text, { hint: 'put it back, or give another' });
    }
  }

  createInstance(
    spec: InstanceSpec,
    { token, signal }: { readonly token: string; readonly signal: AbortSignal },
  ): Promise<Instance> {
    return this.#turns.run(keyOf(token), async () => {
      if (signal.aborted) throw new ProviderError('ERR_PROVIDER_ABORTED', 'the request was given up');
      await this.#table.open();
      const before = await this.#table.get(token);
      if (before?.state === 'created') return instanceOf(before);
      if (before !== null) await this.#cleanBefore(before, signal);
      return this.#create(spec, token, signal);
    });
  }

  async deleteInstance(id: string, signal: AbortSignal): Promise<void> {
    const record = await this.#table.byId(id);
    if (record !== null) {
      await this.#turns.run(keyOf(record.token), async () => {
        const now = await this.#table.byId(id);
        if (now !== null) await this.#delete(now, signal);
      });
    } else if (isId(id) && !isUnfinishedId(id)) {
      // Unknown here, which says nothing about the platform: the table may have been lost.
      await this.#turns.run(`id ${id}`, () =>
        this.#commands.remove({ id, name: '', token: '', sandbox: '' }, signal),
      );
    }
  }

  async listInstances(signal: AbortSignal): Promise<readonly Instance[]> {
    const listed = await this.#commands.list(signal);
    const records = await this.#table.all();
    const known = records.map(record => {
      const seen = listed.find(({ id }) => id === record.id);
      const instance = instanceOf(record);
      return seen === undefined || seen.addresses.length === 0 || record.state === 'creating'
        ? instance
        : { ...instance, addresses: seen.addresses };
    });
    // One whose creation is not over may be in both, here without its id.
    const unknown = listed.filter(
      ({ id, name, token }) =>
        !records.some(
          record =>
            record.id === id ||
            (record.id === '' && (token === undefined ? record.asked === name : record.token === token)),
        ),
    );
    return [...known, ...unknown];
  }

  async close(): Promise<void> {
    await this.#turns.idle();
  }

  async #create(spec: InstanceSpec, token: string, signal: AbortSignal): Promise<Instance> {
    const { create, createMs, log } = this.#settings;
    const began = performance.now();
    const blank: ExecRecord = {
      version: 1,
      token,
      sandbox: spec.sandbox,
      asked: spec.name,
      begun: new Date().toISOString(),
      state: 'creating',
      command: null,
      id: '',
      name: '',
      addresses: [],
    };
    // On disk before the script is told what to make, so that whatever it makes can be found after a crash.
    const outcome = await this.#commands.create(spec, token, signal, command =>
      this.#table.put({ ...blank, command }),
    );
    const { end } = outcome;
    if (end.t === 'not-started') {
      throw scriptFailure(
        'ERR_PROVIDER_UNAVAILABLE',
        howItEnded(create, end, createMs),
        outcome,
        spec.userData,
      );
    }
    const answer = await this.#read(outcome, token, spec.userData);
    if (answer.t === 'bad')
      return this.#takeBack({ ...blank, id: answer.id }, answer.why, outcome, spec, signal);
    const { instance } = answer;
    const record: ExecRecord = {
      ...blank,
      state: 'created',
      id: instance.id,
      name: instance.name === '' ? spec.name : instance.name,
      addresses: instance.addresses,
    };
    try {
      await this.#table.put(record);
    } catch (cause) {
      // The adaptor keeps the id in its own table and deletes by that.
      throw new ProviderError(
        'ERR_PROVIDER_CREATE',
        `${record.name} was made but could not be noted in -data-dir`,
        {
          cause,
          instance: instanceOf(record),
        },
      );
    }
    const ms = Math.round(performance.now() - began);
    const said = tailOf(outcome.stderr, spec.userData);
    log.info(
      { instance: record.id, instanceName: record.name, addresses: record.addresses, ms },
      'script made an instance',
    );
    if (said !== '') log.debug({ instance: record.id, said }, 'script said something');
    return instanceOf(record);
  }

  /** What came of a create command: an instance, or why there is none and the id of what exists all the same. */
  async #read(
    outcome: Outcome,
    token: string,
    userData: string,
  ): Promise<
    | { readonly t: 'instance'; readonly instance: AnsweredInstance }
    | { readonly t: 'bad'; readonly why: string; readonly id: string }
  > {
    const { create, createMs } = this.#settings;
    const answer = parseCreateAnswer(outcome.stdout);
    const told = answer.t === 'bad' ? (answer.id ?? '') : answer.instance.id;
    if (told !== '') {
      // An id of somebody else must lead to no deletion.
      const holder = await this.#table.byId(told);
      if (isUnfinishedId(told) || (holder !== null && holder.token !== token)) {
        return { t: 'bad', why: `${create.flag} gave an id that belongs to another instance`, id: '' };
      }
    }
    if (outcome.end.t !== 'exit' || outcome.end.code !== 0) {
      const why = howItEnded(create, outcome.end, createMs);
      return {
        t: 'bad',
        why: why + (outcome.end.t === 'aborted' ? '' : lastLine(outcome, userData)),
        id: told,
      };
    }
    if (answer.t === 'bad')
      return { t: 'bad', why: `${create.flag} gave no instance: ${answer.why}`, id: told };
    return answer;
  }

  /** Deletes what a creation that failed may have made, and throws why it failed. */
  async #takeBack(
    record: ExecRecord,
    why: string,
    outcome: Outcome,
    spec: InstanceSpec,
    caller: AbortSignal,
  ): Promise<never> {
    const code = caller.aborted ? 'ERR_PROVIDER_ABORTED' : 'ERR_PROVIDER_CREATE';
    try {
      // Written again with the id, in case this is cut short as well; without it the token is what is left to go by.
      await this.#table.put(record).catch(() => undefined);
      using late = deadline(CLEANUP_MS);
      await this.#delete(record, late);
    } catch (cause) {
      const text = `${why}; what it may have made is still to be deleted`;
      throw scriptFailure(code, text, outcome, spec.userData, { cause, instance: instanceOf(record) });
    }
    throw scriptFailure(code, why, outcome, spec.userData);
  }

  /** An earlier creation with this token did not come to its end, and nobody knows how far it came: it is made anew. */
  async #cleanBefore(record: ExecRecord, signal: AbortSignal): Promise<void> {
    try {
      await this.#delete(record, signal);
    } catch (cause) {
      throw new ProviderError('ERR_PROVIDER_CREATE', 'what an earlier attempt left could not be deleted', {
        cause,
        instance: instanceOf(record),
      });
    }
  }

  async #delete(record: ExecRecord, signal: AbortSignal): Promise<void> {
    if (record.command !== null) await endStrayCommand(record.command);
    const { token, sandbox, asked } = record;
    const id = record.id === '' ? await this.#idOf(record, signal) : record.id;
    await this.#commands.remove(
      { id, name: record.name === '' ? asked : record.name, token, sandbox },
      signal,
    );
    await this.#table.remove(record);
    this.#settings.log.info({ instance: instanceOf(record).id }, 'script deleted an instance');
  }

  /** The id of an instance whose creation was cut short, where the list command can tell; else an empty one. */
  async #idOf(record: ExecRecord, signal: AbortSignal): Promise<string> {
    const all = await this.#commands.list(signal);
    const found = all.find(({ token, name }) =>
      token === undefined ? name === record.asked : token === record.token,
    );
    return found?.id ?? '';
  }
}
