// SPDX-License-Identifier: Apache-2.0
// What the engine's refusals mean to the operator of an adaptor, and the way out of each.
import { EngineRefusal } from './engine.js';
import { ProviderError } from '../errors.js';
import type { ProviderErrorCode } from '../errors.js';

export interface Words {
  readonly code: ProviderErrorCode;
  readonly message: string;
  readonly hint: string | undefined;
}

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

/** Why a creation failed, with the image and network it was asked for. */
export function whyNotCreated(
  error: unknown,
  image: string,
  { network }: { readonly network: string },
): Words {
  const code = 'ERR_PROVIDER_CREATE';
  if (error instanceof ProviderError) return { code: error.code, message: error.message, hint: error.hint };
  if (!(error instanceof EngineRefusal)) return { code, message: String(error), hint: undefined };
  const { status, message } = error;
  const say = ([text, hint]: readonly [string, string]): Words => ({ code, message: text, hint });
  if (/no space left on device|disk quota exceeded/i.test(message)) {
    return say([`the engine's disk is full: ${message}`, 'docker system df shows what takes the room']);
  }
  if (status === 404 && /no such image/i.test(message)) return say(missingImage(image));
  if (status === 404 && /network/i.test(message)) return say(missingNetwork(network));
  if (/bind source path does not exist/i.test(message)) {
    return say([
      message,
      "the engine does not see this program's files (one of them runs in a container or elsewhere): give -docker-user-data=copy",
    ]);
  }
  if (status === 409) return say([message, 'remove the container that has the name']);
  if (/client version .* is too new|minimum supported API version/i.test(message)) {
    return say([message, 'leave -docker-api-version (DOCKER_API_VERSION) out']);
  }
  return { code, message: `the engine answered ${status}: ${message}`, hint: undefined };
}

/** Any failure as the error a provider throws, `what` in front of the engine's own sentence. */
export function asProviderError(code: ProviderErrorCode, what: string, error: unknown): ProviderError {
  if (error instanceof ProviderError) return error;
  const reason =
    error instanceof EngineRefusal ? `the engine answered ${error.status}: ${error.message}` : String(error);
  return new ProviderError(code, `${what}: ${reason}`, { cause: error });
}
