// SPDX-License-Identifier: Apache-2.0
// The worker's half of our pair: the proxy as it is shipped, which comes up by itself with what it was told once. No adaptor
// is started; what one would have told it is written into its directory here.
import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { checkMaterial, parseTlsProfile, readPem } from '@peerpod-tls/certs';
import { DIRECT_VOLUMES, materialMessage, proxyFiles, REDIAL_BUDGET_MS } from '@peerpod-tls/proxy/control';
import { materialText, specText } from '../../packages/proxy/src/server/stored.js';
import type { Place } from './peers.js';

const MATERIAL = 'bench';
/** Served as well; nobody asks there. */
const HYPERVISOR = 'hypervisor.sock';

/** Writes a proxy's directory for a place; returns the flags that start the program there. */
export function frontFlags(place: Place): readonly string[] {
  const directory = join(place.folder, `${basename(place.shimSocket, '.sock')}-proxy`);
  const files = proxyFiles(directory);
  mkdirSync(files.sandboxes, { recursive: true, mode: 0o700 });
  const write = (file: string, text: string): void => writeFileSync(file, text, { mode: 0o600 });
  write(files.material, materialOf(place));
  for (const socket of [...(place.moreSockets ?? []), place.shimSocket]) {
    const sandbox = basename(socket, '.sock');
    write(
      join(files.sandboxes, `${sandbox}.json`),
      specText({
        sandbox,
        pod: 'bench/bench',
        socket,
        addresses: ['127.0.0.1'],
        port: place.port,
        tls: { material: MATERIAL, serverName: place.serverName },
        rewrites: { directVolumes: DIRECT_VOLUMES },
        limits: { redialBudgetMs: REDIAL_BUDGET_MS },
      }),
    );
  }
  return [
    `-directory=${directory}`,
    `-socket=${join(directory, HYPERVISOR)}`,
    `-data-path-threads=${place.threads ?? 1}`,
    '-log-level=warn',
  ];
}

/** Holds the client's key, of this run alone. */
function materialOf({ client, ca }: Place): string {
  const material = checkMaterial({
    role: 'client',
    cert: readPem(client.cert, '-cert-file'),
    key: readPem(client.key, '-cert-key'),
    anchors: readPem(ca, '-ca-cert-file'),
  });
  const profile = parseTlsProfile({}, { minVersion: '-tls-min-version', cipherSuites: '-tls-cipher-suites' });
  const security = { t: 'tls', material: () => material, profile } as const;
  return materialText(materialMessage({ name: MATERIAL, security }, Date.now()));
}
