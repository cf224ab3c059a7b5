// SPDX-License-Identifier: Apache-2.0
// What the forwarder serves with, from its flags and its configuration file: read, logged, and read again on a reload.
// What the settings mean for TLS is decided in package trust.
import { describeMaterial } from '@peerpod-tls/certs';
import type { ListenSecurity } from '@peerpod-tls/link';
import { decideServing, expiriesOf, LiveMaterial, watchExpiries } from '@peerpod-tls/trust';
import type { MaterialSource, Note, TlsServing } from '@peerpod-tls/trust';
import type { Logger } from 'pino';

import { readConfigurationFile } from './configuration-file.js';
import type { ConfigurationFile } from './configuration-file.js';
import type { ForwarderOptions } from './options.js';

export interface LiveServing {
  /** Says on each line whose forwarder this is: sandbox and pod, as far as the adaptor told. */
  readonly log: Logger;
  /** Asks for the material at each connection, so that a reload is one assignment behind it. */
  readonly security: ListenSecurity;
  /** When the material in force ends; null when plain text is served. */
  expiresAt(): Date | null;
  /** Why the files do not say what is in force; null while they do. */
  trouble(): string | null;
  /** @throws TrustError; what was in force stays */
  reload(): Promise<void>;
  close(): Promise<void>;
}

/** Kubernetes allows 253 each; every line of the log carries them. */
const LONGEST_NAME = 600;

/**
 * Reads and checks everything, and begins to watch the files.
 * @throws ForwarderError, TrustError, CertError or UserDataError, naming the file and the flag
 */
export async function openServing(
  options: ForwarderOptions,
  context: { readonly log: Logger; readonly onReload: (ok: boolean) => void },
): Promise<LiveServing> {
  const file = readConfigurationFile(options.configFile);
  const log = context.log.child(whoOf(file));
  if (options.disableTls) return plainServing(options, file, log);
  const live = await LiveMaterial.open({ source: sourceOf(options), log, onReload: context.onReload });
  const expiries = watchExpiries(() => expiriesOf(live.current.material), log);
  live.watch();
  const { t, material, profile } = live.current;
  log.info({ mode: t, material: describeMaterial(material), profile }, 'configuration loaded');
  return {
    log,
    security: {
      t,
      material: () => live.current.material,
      get profile() {
        return live.current.profile;
      },
    },
    expiresAt: () => live.current.material.expiresAt,
    trouble: () =>
      live.trouble === null
        ? null
        : `the certificates in force stay, since those of ${live.trouble.at.toISOString()} were refused: ${live.trouble.reason}`,
    async reload() {
      await live.reload();
      expiries.look();
    },
    async close() {
      expiries.close();
      await live.close();
    },
  };
}

function whoOf({ config }: ConfigurationFile): Readonly<Record<string, string>> {
  const { podNamespace, podName, sandboxId = '' } = config;
  return {
    ...(sandboxId === '' ? {} : { sandbox: sandboxId.slice(0, LONGEST_NAME) }),
    ...(podName === '' ? {} : { pod: `${podNamespace}/${podName}`.slice(0, LONGEST_NAME) }),
  };
}

function plainServing(options: ForwarderOptions, file: ConfigurationFile, log: Logger): LiveServing {
  for (const note of [...decideServing(options, file).notes, ...notesOf(file)])
    log.warn(note.fields, note.text);
  log.info({ mode: 'plain' }, 'configuration loaded');
  return {
    log,
    security: { t: 'plain' },
    expiresAt: () => null,
    trouble: () => null,
    reload: async () => {},
    close: async () => {},
  };
}

function sourceOf(options: ForwarderOptions): MaterialSource<TlsServing> {
  const { configFile, caCertFile, certFile, certKey } = options;
  return {
    files: [configFile, caCertFile, certFile, certKey].filter(file => file !== undefined),
    read() {
      const file = readConfigurationFile(configFile);
      const serving = decideServing(options, file);
      if (serving.t === 'plain') throw new Error('internal error: plain text where TLS was decided');
      const exposed: Note[] =
        file.exposedMode === null
          ? []
          : [
              {
                text: 'private key readable by others',
                fields: { file: file.path, mode: file.exposedMode },
              },
            ];
      return { ...serving, notes: [...notesOf(file), ...exposed, ...serving.notes] };
    },
  };
}

/** What is odd about the file, apart from TLS. */
function notesOf({ path, unknownKeys, config }: ConfigurationFile): Note[] {
  return [
    ...(unknownKeys.length > 0
      ? [{ text: 'unknown configuration keys ignored', fields: { file: path, keys: unknownKeys } }]
      : []),
    ...(hasTunnel(config.podNetwork)
      ? [{ text: 'pod network of the configuration not set up', fields: { file: path } }]
      : []),
  ];
}

/** Whether the adaptor expects a tunnel for the pod's own traffic, which this forwarder does not make. */
function hasTunnel(podNetwork: unknown): boolean {
  return (
    typeof podNetwork === 'object' &&
    podNetwork !== null &&
    'tunnel-type' in podNetwork &&
    typeof podNetwork['tunnel-type'] === 'string' &&
    podNetwork['tunnel-type'] !== ''
  );
}
