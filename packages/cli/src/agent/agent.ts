// SPDX-License-Identifier: Apache-2.0
// `peerpod agent`: one call of any method through an agent socket, JSON in and out.
import { readFile } from 'node:fs/promises';
import {
  type MethodInfo,
  jsonToMessage,
  listMethods,
  messageToJson,
  traitsOf,
} from '@peerpod-tls/agent-protocol';
import { nearest } from '@peerpod-tls/daemon';
import { connectUnix } from '@peerpod-tls/ttrpc';
import { type Command, ExitCode, type Io, jsonFlag, readCommandLine } from '../command.js';
import { CliError, messageOf } from '../errors.js';
import { callError, statusName, statusOf } from '../shim/call-error.js';
import { usageError } from '../usage.js';
import { methodDetails, methodList } from './methods-view.js';

/** What a call waits by default when its method answers on its own account. */
const DEFAULT_TIMEOUT_MS = 60_000;
/** Larger than any message can be, ttrpc ends at 4 MiB. */
const LARGEST_INPUT = 16 * 1024 * 1024;

const flags = {
  socket: {
    type: 'string',
    env: 'PEERPOD_AGENT_SOCKET',
    placeholder: 'PATH',
    describe: 'agent socket: agent.ttrpc of a sandbox, or that of kata-agent itself',
  },
  timeout: {
    type: 'duration',
    describe:
      'how long to wait for the answer; left out: 1m0s, and without limit for methods that wait by nature',
  },
  compact: { type: 'boolean', default: false, describe: 'print the answer on one line' },
  json: { ...jsonFlag.json, describe: 'print a failure as JSON too, on standard output' },
} as const;

export const agent: Command = {
  name: 'agent',
  summary: 'call any method of an agent through its socket, JSON in and out',
  async run(argv, io) {
    const line = readCommandLine(
      {
        name: 'agent',
        usage: 'METHOD [JSON|@FILE|-] -socket PATH\n       peerpod agent list [METHOD]',
        about:
          'Calls a method of grpc.AgentService or grpc.Health and prints the answer as JSON. The request is JSON on the\n' +
          'command line, in a file behind @, or on standard input with -; left out: an empty request. Field names as in\n' +
          'the .proto files or in camel case, bytes as base64, 64-bit numbers as strings.',
        flags,
        words: { min: 1, max: 2, missing: 'agent needs the method to call' },
        examples: [
          ['peerpod agent list', 'every method'],
          ['peerpod agent list CreateContainer', 'the fields of its request and answer'],
          ['peerpod agent Check --socket agent.ttrpc', 'is the agent there?'],
          [`peerpod agent StatsContainer '{"container_id":"web"}' -socket agent.ttrpc`, 'a request in JSON'],
        ],
      },
      argv,
      io,
    );
    if (line === null) return ExitCode.ok;
    const [word = '', input] = line.words;
    if (word === 'list') {
      const width = io.stdout.isTTY === true ? io.stdout.columns : undefined;
      const text =
        input === undefined ? methodList(line.out, width) : methodDetails(resolveMethod(input), line.out);
      io.stdout.write(text);
      return ExitCode.ok;
    }
    const method = resolveMethod(word);
    const { socket, timeout } = line.values;
    if (socket === undefined) {
      throw usageError('agent needs -socket', 'peerpod ps shows the agent socket of each sandbox');
    }
    const request = jsonToMessage(fullName(method), await readJson(input, io));
    const waits = traitsOf(method.service, method.method).blocks;
    const timeoutMs = timeout ?? (waits ? undefined : DEFAULT_TIMEOUT_MS);
    return call(
      { method, socket, request, timeoutMs, json: line.values.json, compact: line.values.compact },
      io,
    );
  },
};

interface Call {
  readonly method: MethodInfo;
  readonly socket: string;
  readonly request: Uint8Array;
  readonly timeoutMs: number | undefined;
  readonly json: boolean;
  readonly compact: boolean;
}

async function call(c: Call, io: Io): Promise<number> {
  const interrupt = new AbortController();
  const onSignal = () => interrupt.abort();
  io.signals.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  const client = await connectUnix(c.socket, { timeoutMs: DEFAULT_TIMEOUT_MS, signal: interrupt.signal });
  try {
    const { service, method } = c.method;
    const answer = await client.call(service, method, c.request, {
      timeoutMs: c.timeoutMs,
      signal: interrupt.signal,
    });
    const value = messageToJson(fullName(c.method), answer, 'response');
    io.stdout.write(`${JSON.stringify(value, null, c.compact ? undefined : 2)}\n`);
    return ExitCode.ok;
  } catch (error) {
    if (interrupt.signal.aborted) return ExitCode.interrupted;
    const status = statusOf(error);
    if (!c.json || status === undefined) throw callError(c.method.method, error);
    const name = statusName(status).replace(/ \(.*$/u, '');
    io.stdout.write(`${JSON.stringify({ error: { status, name, message: messageOf(error) } })}\n`);
    return ExitCode.failed;
  } finally {
    io.signals.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    client.close();
  }
}

const fullName = (method: MethodInfo) => `${method.service}/${method.method}`;

/** The method a person means: letter case, dashes and the service's name are all optional. */
function resolveMethod(word: string): MethodInfo {
  const methods = listMethods();
  const wanted = plain(word);
  const found =
    methods.find(m => m.method === word || fullName(m) === word) ??
    methods.find(m => plain(m.method) === wanted || plain(fullName(m)) === wanted);
  if (found !== undefined) return found;
  const near = methods.find(
    m =>
      plain(m.method) ===
      nearest(
        plain(word),
        methods.map(known => plain(known.method)),
      ),
  );
  throw usageError(
    `${JSON.stringify(word)} is no method of an agent`,
    near === undefined
      ? 'peerpod agent list shows them all'
      : `did you mean ${near.method}? peerpod agent list shows them all`,
  );
}

const plain = (name: string) => name.replaceAll(/[-_]/gu, '').toLowerCase();

/** The request as parsed JSON: from the word itself, a file or standard input. */
async function readJson(input: string | undefined, io: Io): Promise<unknown> {
  if (input === undefined) return {};
  const { text, from } = await readInput(input, io);
  if (text.trim() === '') return {};
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CliError('ERR_CLI_BAD_INPUT', `${from} is not JSON: ${messageOf(error)}`, {
      hint: `quote it for the shell, as in '{"container_id":"web"}'`,
    });
  }
}

async function readInput(input: string, io: Io): Promise<{ text: string; from: string }> {
  if (input === '-') {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of io.stdin) {
      const bytes = Buffer.from(chunk);
      size += bytes.length;
      if (size > LARGEST_INPUT)
        throw new CliError('ERR_CLI_BAD_INPUT', 'standard input is larger than 16 MiB');
      chunks.push(bytes);
    }
    return { text: Buffer.concat(chunks).toString(), from: 'standard input' };
  }
  if (!input.startsWith('@')) return { text: input, from: 'the request' };
  const file = input.slice(1);
  try {
    return { text: await readFile(file, 'utf8'), from: file };
  } catch (error) {
    throw new CliError('ERR_CLI_BAD_INPUT', `${file} cannot be read: ${messageOf(error)}`, { cause: error });
  }
}
