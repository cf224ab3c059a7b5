// SPDX-License-Identifier: Apache-2.0
// Reads apf.json from disk, warily. What its values mean for TLS is decided in tls.ts.
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';

import { exposedMode } from '@peerpod-tls/trust';
import { parseApf } from '@peerpod-tls/user-data/apf';
import type { ApfConfig } from '@peerpod-tls/user-data/apf';

import { ForwarderError } from './errors.js';

/** User-data of any platform is smaller than this. */
const MAX_BYTES = 1 << 20;

export interface ConfigurationFile {
  readonly path: string;
  readonly config: ApfConfig;
  readonly unknownKeys: readonly string[];
  /** The file's permission bits when others than its owner may read a private key in it, else null. */
  readonly exposedMode: string | null;
}

/** @throws ForwarderError ERR_FORWARDER_CONFIG; the words `failed to open` and `failed to decode` are upstream's */
export function readConfigurationFile(path: string): ConfigurationFile {
  const { text, mode } = readSmallFile(path);
  const { config, unknownKeys } = decode(path, text);
  const holdsKey = (config.tlsServerKey ?? '') !== '';
  return { path, config, unknownKeys, exposedMode: holdsKey ? exposedMode(mode) : null };
}

function readSmallFile(path: string): { text: string; mode: number } {
  // Non-blocking, so that a FIFO at the path is recognised instead of waited for.
  const fd = attempt(path, () => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK));
  try {
    const found = fstatSync(fd);
    if (!found.isFile())
      throw unreadable(path, found.isDirectory() ? 'it is a directory' : 'it is not a regular file');
    if (found.size > MAX_BYTES)
      throw unreadable(path, `it has ${found.size} bytes, more than the ${MAX_BYTES} allowed`);
    return { text: attempt(path, () => readFileSync(fd, 'utf8')), mode: found.mode };
  } finally {
    closeSync(fd);
  }
}

function attempt<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw unreadable(path, error instanceof Error ? error.message : String(error), error);
  }
}

function unreadable(path: string, reason: string, cause?: unknown): ForwarderError {
  return new ForwarderError(
    'ERR_FORWARDER_CONFIG',
    `failed to open the configuration file ${path} (-config): ${reason}`,
    {
      hint: 'process-user-data writes it once user-data has arrived; start the forwarder after it',
      cause,
    },
  );
}

function decode(path: string, text: string): ReturnType<typeof parseApf> {
  try {
    return parseApf(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ForwarderError(
      'ERR_FORWARDER_CONFIG',
      `failed to decode the configuration file ${path} (-config): ${reason}`,
      {
        hint: 'the adaptor writes this file; look for one that was cut short or edited by hand',
        cause: error,
      },
    );
  }
}
