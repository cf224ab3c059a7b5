// SPDX-License-Identifier: Apache-2.0
// `peerpod agent`: one call of any method through an agent socket, JSON in and out.
import { readFile } from 'node:fs/promises';
import { type MethodInfo, jsonToMessage, messageToJson, traitsOf } from '@peerpod-tls/agent-protocol';
import { connectUnix } from '@peerpod-tls/ttrpc';
import type { Line } from '../command.js';
import { ExitCode, type Io } from '../io.js';
import { messageOf } from '@peerpod-tls/base';
import { CliError } from '../errors.js';
import { callError, statusName, statusOf } from '../shim/call-error.js';
import { usageError } from '../usage.js';
import { socketOf } from './find-sandbox.js';
import { fullName, resolveMethod } from './method-names.js';

/** What a call waits by default when its method answers on its own account. */
const DEFAULT_TIMEOUT_MS = 60_000;
/** Larger than any message can be, ttrpc ends at 4 MiB. */
const LARGEST_INPUT = 16 * 1024 * 1024;

export interface AgentValues {
  readonly socket: string | undefined;
  readonly sandbox: string | undefined;
  readonly address: string;
  readonly timeout: number | undefined;
  readonly compact: boolean;
  readonly json: boolean;
}

export async function agent({ values, words }: Line<AgentValues>, io: Io): Promise<number> {
  const [word = '', input] = words;
  const method = resolveMethod(word);
  const { timeout, json, compact } = values;
  if (
    values.socket !== undefined &&
    values.sandbox !== undefined &&
    io.env['PEERPOD_AGENT_SOCKET'] !== values.socket
  ) {
    throw usageError('-socket and -sandbox name two agents', 'leave one of them out');
  }
  const socket =
    values.sandbox === undefined ? values.socket : await socketOf(values.sandbox, values.address);
  if (socket === undefined) {
    throw usageError('agent needs -sandbox or -socket', 'peerpod ps shows the sandboxes with their pods');
  }
  const request = jsonToMessage(fullName(method), await readJson(input, io));
  const waits = traitsOf(method.service, method.method).blocks;
  const timeoutMs = timeout ?? (waits ? undefined : DEFAULT_TIMEOUT_MS);
  return call({ method, socket, request, timeoutMs, json, compact }, io);
}

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
