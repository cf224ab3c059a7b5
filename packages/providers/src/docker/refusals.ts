// SPDX-License-Identifier: Apache-2.0
// What the engine's refusals mean to the operator of an adaptor, and the way out of each.
import { messageOf } from '@peerpod-tls/base';
import { ProviderError, type ProviderErrorCode } from '../errors.js';
import { freeSpaceAt, spaceInWords } from '../host/free-space.js';
import { EngineRefusal } from './engine.js';

export function missingImage(image: string): readonly [message: string, hint: string] {
  return [
    `the engine has no image ${image}`,
    `docker pull ${image}, or build one from podvm-files/Dockerfile, or name another with -podvm-docker-image (DOCKER_PODVM_IMAGE)`,
  ];
}

export function missingNetwork(network: string): readonly [message: string, hint: string] {
  return [
    `the engine has no network ${network}`,
    `docker network create ${network}, or name another with -docker-network-name (DOCKER_NETWORK_NAME)`,
  ];
}

/** What a creation was asked with, and where the engine keeps its containers. */
export interface Asked {
  readonly image: string;
  readonly network: string;
  /** Empty where the engine does not say. */
  rootDir(): Promise<string>;
}

/** Why a creation failed. */
export async function whyNotCreated(error: unknown, asked: Asked): Promise<ProviderError> {
  if (error instanceof ProviderError) return error;
  const say = (
    message: string,
    hint?: string,
    code: ProviderErrorCode = 'ERR_PROVIDER_CREATE',
  ): ProviderError => new ProviderError(code, message, { hint, cause: error });
  if (!(error instanceof EngineRefusal)) return say(messageOf(error));
  const { status, message } = error;
  if (/no space left on device|disk quota exceeded/i.test(message)) {
    const hint = "docker system df shows what takes the space; dockerd's --data-root is where it is";
    return say(await engineDisk(message, asked), hint, 'ERR_PROVIDER_DISK_FULL');
  }
  if (status === 404 && /no such image/i.test(message))
    return say(...missingImage(asked.image), 'ERR_PROVIDER_UNAVAILABLE');
  if (status === 404 && /network/i.test(message))
    return say(...missingNetwork(asked.network), 'ERR_PROVIDER_UNAVAILABLE');
  if (/bind source path does not exist/i.test(message)) {
    return say(
      message,
      "the engine does not see this program's files (one of them runs in a container or elsewhere): give -docker-user-data=copy",
    );
  }
  if (status === 409) return say(message, 'remove the container that has the name');
  if (/client version .* is too new|minimum supported API version/i.test(message))
    return say(message, 'leave -docker-api-version (DOCKER_API_VERSION) out');
  return say(`the engine answered ${status}: ${message}`);
}

/** Where the engine's disk is and what is free on it, as far as the engine tells and this machine has it. */
async function engineDisk(message: string, { rootDir }: Asked): Promise<string> {
  const at = await rootDir().catch(() => '');
  if (at === '') return `the engine's disk is full: ${message}`;
  const space = await freeSpaceAt(at);
  const free = space === null ? '' : ` (${spaceInWords(space)})`;
  return `the engine's disk is full: there is no free space in ${at}${free}: ${message}`;
}

/** Any failure as the error a provider throws, `what` in front of the engine's own sentence. */
export function asProviderError(code: ProviderErrorCode, what: string, error: unknown): ProviderError {
  if (error instanceof ProviderError) return error;
  const reason =
    error instanceof EngineRefusal
      ? `the engine answered ${error.status}: ${error.message}`
      : messageOf(error);
  return new ProviderError(code, `${what}: ${reason}`, { cause: error });
}
