// SPDX-License-Identifier: Apache-2.0
// Talking to a Docker Engine: where it is, one request at a time, and what its refusals mean in words. What is asked of
// it is the provider's affair.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { deadline, reasonOf } from '@peerpod-tls/base';
import type DockerModem from 'docker-modem';

import { ProviderError } from '../errors.js';

/** No request of ours makes the engine work longer; pulling an image, which would, is none of them. */
const REQUEST_MS = 60_000;

export interface EngineSettings {
  /** `unix:///path` or `tcp://host:port`. */
  readonly host: string;
  /** Like `1.44`; empty: whatever the engine speaks. */
  readonly apiVersion: string;
  /** Directory with ca.pem, cert.pem and key.pem; empty: no TLS. */
  readonly certPath: string;
  readonly tlsVerify: boolean;
}

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
  readonly #modem: DockerModem;
  readonly #host: string;

  constructor(modem: DockerModem, host: string) {
    this.#modem = modem;
    this.#host = host;
  }

  /**
   * One request. Resolves with the parsed JSON, or with a Buffer when the answer is none.
   *
   * @throws EngineRefusal when the engine says no; ProviderError ERR_PROVIDER_UNAVAILABLE when there is no engine to say
   * anything, ERR_PROVIDER_ABORTED
   */
  async call(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: string,
    { query, body, tar, accept = [], signal }: EngineRequest,
  ): Promise<unknown> {
    using limit = deadline(REQUEST_MS, signal);
    try {
      return await new Promise<unknown>((resolve, reject) => {
        this.#modem.dial(
          {
            // The client appends what is in `_query` to a path that ends with a question mark.
            path: query === undefined ? path : `${path}?`,
            method,
            options: { ...(query === undefined ? {} : { _query: query }), _body: body ?? {} },
            ...(tar === undefined ? {} : { file: tar }),
            statusCodes: Object.fromEntries([200, 201, 204, ...accept].map(status => [status, true])),
            abortSignal: limit,
          },
          (error, result) => (error === null ? resolve(result) : reject(error)),
        );
      });
    } catch (error) {
      throw this.#translate(error, signal, limit);
    }
  }

  #translate(error: unknown, caller: AbortSignal, limit: AbortSignal): Error {
    const status = numberIn(error, 'statusCode');
    if (status !== null) return new EngineRefusal(status, engineWords(error));
    if (caller.aborted)
      return new ProviderError('ERR_PROVIDER_ABORTED', 'the request was given up', { cause: error });
    if (limit.aborted) {
      return new ProviderError(
        'ERR_PROVIDER_UNAVAILABLE',
        `the Docker Engine at ${this.#host} did not answer within ${REQUEST_MS / 1000} s`,
        {
          hint: 'look at its log: journalctl -u docker',
          cause: error,
        },
      );
    }
    const [text, hint] = unreachable(this.#host, textIn(error, 'code'), reasonOf(error));
    return new ProviderError('ERR_PROVIDER_UNAVAILABLE', text, { hint, cause: error });
  }
}

/**
 * Loads the client and points it at the engine. Nothing is sent yet.
 *
 * @throws ProviderError ERR_PROVIDER_CONFIG
 */
export async function connectEngine(settings: EngineSettings): Promise<DockerEngine> {
  const options = engineOptions(settings);
  const Modem = await loadClient();
  try {
    return new DockerEngine(new Modem(options), settings.host);
  } catch (error) {
    // The client reads DOCKER_HOST and DOCKER_CERT_PATH by itself, before it looks at what we give.
    throw refuse(
      `the Docker client refused its settings: ${reasonOf(error)}`,
      'correct or unset DOCKER_HOST and DOCKER_CERT_PATH',
      error,
    );
  }
}

async function loadClient(): Promise<typeof DockerModem> {
  try {
    return (await import('docker-modem')).default;
  } catch (error) {
    throw refuse(
      'the docker provider needs the npm package docker-modem, which is not installed here',
      'run npm install, or use the single-file cloud-api-adaptor, which has it inside',
      error,
    );
  }
}

/** What the client is given. Every key is there, so that nothing of its own reading of the environment stays. */
function engineOptions(settings: EngineSettings): DockerModem.ConstructorOptions {
  const { host, apiVersion, certPath, tlsVerify } = settings;
  if (apiVersion !== '' && !/^\d+\.\d+$/.test(apiVersion)) {
    throw refuse(
      `-docker-api-version is ${JSON.stringify(apiVersion)}`,
      'give two numbers as in 1.44, or leave it out for what the engine speaks',
    );
  }
  const common = { version: apiVersion === '' ? undefined : `v${apiVersion}`, timeout: undefined };
  if (host.startsWith('unix://')) {
    const socketPath = host.slice('unix://'.length);
    if (!socketPath.startsWith('/')) {
      throw refuse(
        `-docker-host ${host} names no absolute path`,
        'write it as unix:///var/run/docker.sock, with three slashes',
      );
    }
    const plain = { host: undefined, port: undefined, ca: undefined, cert: undefined, key: undefined };
    return { ...common, ...plain, socketPath, protocol: 'http' };
  }
  const url = tcpUrl(host);
  const tls = certPath === '' ? null : readPair(certPath);
  if (tls === null && tlsVerify) {
    throw refuse(
      '-docker-tls-verify asks for TLS, and -docker-cert-path (DOCKER_CERT_PATH) is not given',
      'name the directory that holds ca.pem, cert.pem and key.pem',
    );
  }
  const port = url.port === '' ? (tls === null ? '2375' : '2376') : url.port;
  const nothing = { ca: undefined, cert: undefined, key: undefined };
  return {
    ...common,
    ...(tls ?? nothing),
    socketPath: undefined,
    host: url.hostname,
    port,
    protocol: tls === null ? 'http' : 'https',
  };
}

function tcpUrl(host: string): URL {
  if (host.startsWith('tcp://') && URL.canParse(host)) {
    const url = new URL(host);
    if (url.hostname !== '' && ['', '/'].includes(url.pathname) && url.username === '') return url;
  }
  throw refuse(
    `-docker-host (DOCKER_HOST) is ${JSON.stringify(host)}`,
    'give unix:///var/run/docker.sock, or tcp://HOST:2376 with -docker-cert-path; ssh:// is not spoken here',
  );
}

function readPair(directory: string): { readonly ca: string; readonly cert: string; readonly key: string } {
  const read = (name: string): string => {
    const path = join(directory, name);
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      throw refuse(
        `${path} cannot be read (${textIn(error, 'code')})`,
        '-docker-cert-path (DOCKER_CERT_PATH) names a directory with ca.pem, cert.pem and key.pem',
        error,
      );
    }
  };
  return { ca: read('ca.pem'), cert: read('cert.pem'), key: read('key.pem') };
}

function refuse(message: string, hint: string, cause?: unknown): ProviderError {
  return new ProviderError('ERR_PROVIDER_CONFIG', message, { hint, cause });
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

/** The engine's own sentence, without the client's frame around it. */
function engineWords(error: unknown): string {
  const json = field(error, 'json');
  const message = textIn(json, 'message');
  const text = message === '' ? reasonOf(error) : message;
  return text.trim().slice(0, 1000);
}

/** A property of something the engine or Node sent; undefined when it is not there. */
export function field(value: unknown, ...path: readonly string[]): unknown {
  let at: unknown = value;
  for (const key of path) {
    if (typeof at !== 'object' || at === null) return undefined;
    at = Reflect.get(at, key);
  }
  return at;
}

export function textIn(value: unknown, ...path: readonly string[]): string {
  const found = field(value, ...path);
  return typeof found === 'string' ? found : '';
}

export function numberIn(value: unknown, ...path: readonly string[]): number | null {
  const found = field(value, ...path);
  return typeof found === 'number' ? found : null;
}
