// SPDX-License-Identifier: Apache-2.0
// Reads apf.json from disk, warily. What its values mean for TLS is decided in live-serving.ts.
import { messageOf, readSmallFile } from '@peerpod-tls/base';
import type { SmallFile } from '@peerpod-tls/base';
import { exposedMode } from '@peerpod-tls/trust';
import { parseApf } from '@peerpod-tls/user-data/apf';
import type { ApfConfig } from '@peerpod-tls/user-data/apf';

import { ForwarderError } from './errors.js';

/** User-data of any platform is smaller than this. */
const MAX_APF_BYTES = 1 << 20;

export interface ConfigurationFile {
  readonly path: string;
  readonly config: ApfConfig;
  readonly unknownKeys: readonly string[];
  /** The file's permission bits when others than its owner may read a private key in it, else null. */
  readonly exposedMode: string | null;
}

/** @throws ForwarderError ERR_FORWARDER_CONFIG; the words `failed to open` and `failed to decode` are upstream's */
export function readConfigurationFile(path: string): ConfigurationFile {
  const { bytes, stat } = read(path);
  const { config, unknownKeys } = decode(path, bytes.toString('utf8'));
  const holdsKey = (config.tlsServerKey ?? '') !== '';
  return { path, config, unknownKeys, exposedMode: holdsKey ? exposedMode(stat.mode) : null };
}

function read(path: string): SmallFile {
  try {
    return readSmallFile(path, { maxBytes: MAX_APF_BYTES });
  } catch (error) {
    throw new ForwarderError(
      'ERR_FORWARDER_CONFIG',
      `failed to open the configuration file (-config): ${messageOf(error)}`,
      {
        hint: 'process-user-data writes it once user-data has arrived; start the forwarder after it',
        cause: error,
      },
    );
  }
}

function decode(path: string, text: string): ReturnType<typeof parseApf> {
  try {
    return parseApf(text);
  } catch (error) {
    throw new ForwarderError(
      'ERR_FORWARDER_CONFIG',
      `failed to decode the configuration file ${path} (-config): ${messageOf(error)}`,
      {
        hint: 'the adaptor writes this file; look for one that was cut short or edited by hand',
        cause: error,
      },
    );
  }
}
