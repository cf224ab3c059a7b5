// SPDX-License-Identifier: Apache-2.0
// Talking to a Docker Engine: one request at a time, and what it means when none is answered. What is asked of it, and
// what its refusals mean, is the provider's affair.
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { codeOf, deadline, messageOf } from '@peerpod-tls/base';
import { ProviderError } from '../errors.js';
import type { Endpoint } from './endpoint.js';
import { textIn } from './field.js';

/** No request of ours makes the engine work longer; pulling an image, which would, is none of them. */
const REQUEST_MS = 60_000;
/** Ten thousand containers in a list are less. */
const ANSWER_BYTES = 64 * 1024 * 1024;
/** Of the engine's own sentence. */
const SENTENCE_CHARS = 1_000;

export interface EngineRequest {
  readonly query?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as a tar archive. */
  readonly tar?: Buffer;
  /** Answers that are no failure, beside 2xx. */
  readonly accept?: readonly number[];
  readonly signal: AbortSignal;
}

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** The engine answered with a failure; `status` is HTTP's. */
export class EngineRefusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'EngineRefusal';
    this.status = status;
  }
}

export class DockerEngine {
  readonly #endpoint: Endpoint;

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
  }

  /**
   * One request. Resolves with the value of the answer's JSON; undefined when the answer is none.
   *
   * @throws EngineRefusal when the engine says no; ProviderError ERR_PROVIDER_UNAVAILABLE when there is no engine to say
   * anything, ERR_PROVIDER_ABORTED
   */
  async call(method: Method, path: string, request: EngineRequest): Promise<unknown> {
    return parsed(await this.bytes(method, path, request));
  }

  /** Like `call`, with the answer as it is. */
  async bytes(method: Method, path: string, request: EngineRequest): Promise<Buffer> {
    const { accept = [], signal } = request;
    using limit = deadline(REQUEST_MS, signal);
    try {
      const answer = await this.#send(method, path, request, limit);
      const bytes = await bodyOf(answer);
      const status = answer.statusCode ?? 0;
      if ((status >= 200 && status < 300) || accept.includes(status)) return bytes;
      throw new EngineRefusal(status, sentenceIn(bytes));
    } catch (error) {
      if (error instanceof EngineRefusal) throw error;
      throw this.#translate(error, signal, limit);
    }
  }

  #send(
    method: Method,
    path: string,
    { query, body, tar }: EngineRequest,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const { tls, options, prefix } = this.#endpoint;
    const sent = tar ?? (body === undefined ? null : Buffer.from(JSON.stringify(body)));
    const type = tar === undefined ? 'application/json' : 'application/x-tar';
    const headers = {
      ...options.headers,
      ...(sent === null ? {} : { 'content-type': type }),
      ...(method === 'GET' ? {} : { 'content-length': sent?.length ?? 0 }),
    };
    const search = query === undefined ? '' : `?${new URLSearchParams(query).toString()}`;
    return new Promise((resolve, reject) => {
      // A connection of its own: one that the engine closes just as it is used again would fail the request.
      const request = (tls ? httpsRequest : httpRequest)({
        ...options,
        agent: false,
        method,
        path: `${prefix}${path}${search}`,
        headers,
        signal,
      });
      request.once('response', resolve);
      request.once('error', reject);
      request.end(sent ?? undefined);
    });
  }

  #translate(error: unknown, caller: AbortSignal, limit: AbortSignal): ProviderError {
    const { name } = this.#endpoint;
    if (caller.aborted)
      return new ProviderError('ERR_PROVIDER_ABORTED', 'the request was given up', { cause: error });
    const [text, hint] = limit.aborted
      ? [
          `the Docker Engine at ${name} did not answer within ${REQUEST_MS / 1000} s`,
          'look at its log: journalctl -u docker',
        ]
      : unreachable(name, codeOf(error), messageOf(error));
    return new ProviderError('ERR_PROVIDER_UNAVAILABLE', text, { hint, cause: error });
  }
}

async function bodyOf(answer: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of answer) {
    if (!Buffer.isBuffer(piece)) continue;
    pieces.push(piece);
    length += piece.length;
    if (length > ANSWER_BYTES) throw new Error(`its answer is longer than ${ANSWER_BYTES} bytes`);
  }
  return Buffer.concat(pieces, length);
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

/** The engine's own sentence, `{"message": …}`, or whatever else stands between us and it has to say. */
function sentenceIn(bytes: Buffer): string {
  const message = textIn(parsed(bytes), 'message') || bytes.toString('utf8');
  return message.trim().slice(0, SENTENCE_CHARS);
}

function unreachable(host: string, code: string, text: string): readonly [string, string] {
  switch (code) {
    case 'ENOENT':
      return [
        `there is no Docker Engine at ${host}: the socket does not exist`,
        'start it (systemctl start docker), or name another with -docker-host (DOCKER_HOST)',
      ];
    case 'ECONNREFUSED':
      return [
        `the Docker Engine at ${host} is not running: nobody accepts the connection`,
        'start it (systemctl start docker), or name another with -docker-host (DOCKER_HOST)',
      ];
    case 'EACCES':
    case 'EPERM':
      return [
        `this user may not talk to the Docker Engine at ${host}`,
        "run the adaptor as root or in the socket's group; whoever may use the socket is root on that machine",
      ];
    default:
      return [
        `the Docker Engine at ${host} cannot be reached: ${text}`,
        'check -docker-host, -docker-cert-path, and that the engine runs',
      ];
  }
}
