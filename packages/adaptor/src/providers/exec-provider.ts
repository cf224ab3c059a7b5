// SPDX-License-Identifier: Apache-2.0
// The provider `exec` at work: which command runs when, and what its end means. Running a command, judging its answer
// and remembering instances have files of their own.
import type { Logger } from 'pino';
import { ProviderError, type ProviderErrorCode } from './errors.js';
import { ANSWER_BYTES, isId, LIST_BYTES, parseCreateAnswer, parseListAnswer } from './exec-answer.js';
import type { AnsweredInstance } from './exec-answer.js';
import { howItEnded, lastWords, stderrHint, tailOf } from './exec-failure.js';
import { endStrayCommand, runCommand, type Outcome } from './exec-run.js';
import { ExecTable, instanceOf, isUnfinishedId, keyOf, type ExecRecord } from './exec-table.js';
import type { Command } from './exec-words.js';
import type { Instance, InstanceSpec, Provider } from './provider.js';
import { Turns } from './turns.js';

/** For deleting what a creation that was given up left, in milliseconds; after it the adaptor tries again by itself. */
const CLEANUP_MS = 60_000;
const DOCUMENT_VERSION = 1;

export interface ExecSettings {
  readonly create: Command;
  readonly remove: Command;
  readonly list: Command | null;
  readonly createMs: number;
  readonly deleteMs: number;
  readonly listMs: number;
  readonly userDataBytes: number;
  /** Tells the instances of this adaptor from those of others on the same platform. */
  readonly owner: string;
  readonly home: string;
  readonly env: NodeJS.ProcessEnv;
  readonly log: Logger;
}

export class ExecProvider implements Provider {
  readonly name = 'exec';
  readonly limits: Provider['limits'];
  readonly #settings: ExecSettings;
  readonly #table: ExecTable;
  readonly #turns = new Turns();

  constructor(settings: ExecSettings) {
    this.#settings = settings;
    this.#table = new ExecTable(settings.home, settings.log);
    this.limits = { userDataBytes: settings.userDataBytes, nameLength: 63 };
  }

  async verify(signal: AbortSignal): Promise<void> {
    await this.#table.open();
    if (this.#settings.list !== null) await this.#listed(this.#settings.list, signal);
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
        this.#runDelete({ id, name: '', token: '', sandbox: '' }, signal),
      );
    }
  }

  async listInstances(signal: AbortSignal): Promise<readonly Instance[]> {
    const { list } = this.#settings;
    const listed = list === null ? [] : await this.#listed(list, signal);
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
    const outcome = await this.#run(create, {
      input: { version: DOCUMENT_VERSION, owner: this.#settings.owner, token, ...spec },
      signal,
      timeoutMs: createMs,
      outputBytes: ANSWER_BYTES,
      // On disk before the script is told what to make, so that whatever it makes can be found after a crash.
      onStart: command => this.#table.put({ ...blank, command }),
    });
    const { end } = outcome;
    if (end.t === 'not-started') {
      throw this.#failure('ERR_PROVIDER_CREATE', howItEnded(create, end, createMs), outcome, spec.userData);
    }
    const judged = await this.#judge(outcome, token, spec.userData);
    if (judged.t === 'bad')
      return this.#takeBack({ ...blank, id: judged.id }, judged.why, outcome, spec, signal);
    const { instance } = judged;
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
  async #judge(
    outcome: Outcome,
    token: string,
    letter: string,
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
        why: why + (outcome.end.t === 'aborted' ? '' : lastWords(outcome, letter)),
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
      await this.#delete(record, AbortSignal.timeout(CLEANUP_MS));
    } catch (cause) {
      const text = `${why}; what it may have made is still to be deleted`;
      throw this.#failure(code, text, outcome, spec.userData, { cause, instance: instanceOf(record) });
    }
    throw this.#failure(code, why, outcome, spec.userData);
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
    await this.#runDelete({ id, name: record.name === '' ? asked : record.name, token, sandbox }, signal);
    await this.#table.remove(record);
    this.#settings.log.info({ instance: instanceOf(record).id }, 'script deleted an instance');
  }

  /** The id of an instance whose creation was cut short, where the list command can tell; else an empty one. */
  async #idOf(record: ExecRecord, signal: AbortSignal): Promise<string> {
    const { list } = this.#settings;
    if (list === null) return '';
    const all = await this.#listed(list, signal);
    const found = all.find(({ token, name }) =>
      token === undefined ? name === record.asked : token === record.token,
    );
    return found?.id ?? '';
  }

  async #runDelete(
    what: { readonly id: string; readonly name: string; readonly token: string; readonly sandbox: string },
    signal: AbortSignal,
  ): Promise<void> {
    const { remove, deleteMs } = this.#settings;
    const outcome = await this.#run(remove, {
      input: { version: DOCUMENT_VERSION, owner: this.#settings.owner, ...what },
      more: what.id === '' ? [] : [what.id],
      signal,
      timeoutMs: deleteMs,
      outputBytes: ANSWER_BYTES,
    });
    const { end } = outcome;
    if (end.t === 'exit' && end.code === 0) return;
    const code = end.t === 'aborted' ? 'ERR_PROVIDER_ABORTED' : 'ERR_PROVIDER_DELETE';
    throw this.#failure(code, howItEnded(remove, end, deleteMs) + lastWords(outcome, ''), outcome, '');
  }

  async #listed(list: Command, signal: AbortSignal): Promise<readonly AnsweredInstance[]> {
    const { listMs, owner } = this.#settings;
    const outcome = await this.#run(list, {
      input: { version: DOCUMENT_VERSION, owner },
      signal,
      timeoutMs: listMs,
      outputBytes: LIST_BYTES,
    });
    const { end } = outcome;
    if (end.t !== 'exit' || end.code !== 0) {
      const text = howItEnded(list, end, listMs) + lastWords(outcome, '');
      throw this.#failure('ERR_PROVIDER_LIST', text, outcome, '');
    }
    const answer = parseListAnswer(outcome.stdout);
    if (typeof answer === 'string') {
      throw this.#failure('ERR_PROVIDER_LIST', `${list.flag} gave no list: ${answer}`, outcome, '');
    }
    return answer;
  }

  #run(
    command: Command,
    o: {
      readonly input: Readonly<Record<string, unknown>>;
      readonly more?: readonly string[];
      readonly signal: AbortSignal;
      readonly timeoutMs: number;
      readonly outputBytes: number;
      readonly onStart?: (command: ExecRecord['command']) => Promise<void>;
    },
  ): Promise<Outcome> {
    const { input, ...rest } = o;
    return runCommand({ ...rest, command, env: this.#settings.env, input: `${JSON.stringify(input)}\n` });
  }

  #failure(
    code: ProviderErrorCode,
    text: string,
    outcome: Outcome,
    letter: string,
    more: { readonly cause?: unknown; readonly instance?: Instance } = {},
  ): ProviderError {
    return new ProviderError(code, text, { hint: stderrHint(outcome, letter), ...more });
  }
}
