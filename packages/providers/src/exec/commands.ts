// SPDX-License-Identifier: Apache-2.0
// The three commands of the provider `exec` as calls: what each reads on standard input, and when its end is a failure.
// Nothing is remembered here.
import { ProviderError, type ProviderErrorCode } from '../errors.js';
import { ANSWER_BYTES, LIST_BYTES, parseListAnswer } from './answer.js';
import type { AnsweredInstance } from './answer.js';
import { howItEnded, lastLine, stderrHint } from './failure.js';
import { runCommand, type Outcome } from './run.js';
import type { Command } from './command-line.js';
import type { ProcessId } from '../host/vm-processes.js';
import type { Instance, InstanceSpec } from '../provider.js';

const DOCUMENT_VERSION = 1;

export interface CommandSettings {
  readonly create: Command;
  readonly remove: Command;
  readonly list: Command | null;
  readonly createMs: number;
  readonly deleteMs: number;
  readonly listMs: number;
  /** Tells the instances of this adaptor from those of others on the same platform. */
  readonly owner: string;
  readonly env: NodeJS.ProcessEnv;
}

/** What a delete command is told. The id is empty where nobody knows it. */
export interface Deletion {
  readonly id: string;
  readonly name: string;
  readonly token: string;
  readonly sandbox: string;
}

export class ExecCommands {
  readonly #settings: CommandSettings;

  constructor(settings: CommandSettings) {
    this.#settings = settings;
  }

  /**
   * Runs the create command to its end, whatever that is.
   * @param onStart told of the process before it gets its document; a rejection ends it without
   */
  create(
    spec: InstanceSpec,
    token: string,
    signal: AbortSignal,
    onStart: (command: ProcessId | null) => Promise<void>,
  ): Promise<Outcome> {
    const { create, createMs } = this.#settings;
    const limits = { timeoutMs: createMs, outputBytes: ANSWER_BYTES };
    return this.#run(create, { token, ...spec }, { ...limits, signal, onStart });
  }

  /** @throws ProviderError ERR_PROVIDER_DELETE when the command does not end well, ERR_PROVIDER_ABORTED */
  async remove(what: Deletion, signal: AbortSignal): Promise<void> {
    const { remove, deleteMs } = this.#settings;
    const limits = { timeoutMs: deleteMs, outputBytes: ANSWER_BYTES };
    const more = what.id === '' ? [] : [what.id];
    const outcome = await this.#run(remove, { ...what }, { ...limits, more, signal });
    const { end } = outcome;
    if (end.t === 'exit' && end.code === 0) return;
    const code = end.t === 'aborted' ? 'ERR_PROVIDER_ABORTED' : 'ERR_PROVIDER_DELETE';
    throw scriptFailure(code, howItEnded(remove, end, deleteMs) + lastLine(outcome, ''), outcome, '');
  }

  /**
   * What the list command lists; nothing where there is none.
   * @throws ProviderError ERR_PROVIDER_LIST
   */
  async list(signal: AbortSignal): Promise<readonly AnsweredInstance[]> {
    const { list, listMs } = this.#settings;
    if (list === null) return [];
    const outcome = await this.#run(list, {}, { timeoutMs: listMs, outputBytes: LIST_BYTES, signal });
    const { end } = outcome;
    if (end.t !== 'exit' || end.code !== 0) {
      const text = howItEnded(list, end, listMs) + lastLine(outcome, '');
      throw scriptFailure('ERR_PROVIDER_LIST', text, outcome, '');
    }
    const answer = parseListAnswer(outcome.stdout);
    if (typeof answer === 'string') {
      throw scriptFailure('ERR_PROVIDER_LIST', `${list.flag} gave no list: ${answer}`, outcome, '');
    }
    return answer;
  }

  #run(
    command: Command,
    document: Readonly<Record<string, unknown>>,
    o: {
      readonly more?: readonly string[];
      readonly signal: AbortSignal;
      readonly timeoutMs: number;
      readonly outputBytes: number;
      readonly onStart?: (command: ProcessId | null) => Promise<void>;
    },
  ): Promise<Outcome> {
    const { owner, env } = this.#settings;
    const input = `${JSON.stringify({ version: DOCUMENT_VERSION, owner, ...document })}\n`;
    return runCommand({ ...o, command, env, input });
  }
}

/** An error with the end of what the script said as its hint, without what comes from the user-data. */
export function scriptFailure(
  code: ProviderErrorCode,
  text: string,
  outcome: Outcome,
  userData: string,
  more: { readonly cause?: unknown; readonly instance?: Instance } = {},
): ProviderError {
  return new ProviderError(code, text, { hint: stderrHint(outcome, userData), ...more });
}
