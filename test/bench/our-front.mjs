// SPDX-License-Identifier: Apache-2.0
// The adaptor's half of our pair: its data plane and metrics, without the hypervisor service, so that it meets the same
// echo agent as every peer.
import { createLogger } from '../../packages/daemon/dist/index.js';
import { checkMaterial, parseTlsProfile, readPem } from '../../packages/certs/dist/index.js';
import { Metrics } from '../../packages/adaptor/dist/metrics.js';
import { DIRECT_VOLUMES, openDataPlane, REDIAL_BUDGET_MS } from '../../packages/proxy/dist/index.js';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';

const place = JSON.parse(readFileSync(process.argv[3], 'utf8'));
const metrics = new Metrics({
  sandboxes: () => [],
  expiries: () => [],
  threads: async () => [],
  withoutShim: () => 0,
  providerReady: () => true,
  callFigures: async () => '',
});
const material = checkMaterial({
  role: 'client',
  cert: readPem(place.client.cert, '-cert-file'),
  key: readPem(place.client.key, '-cert-key'),
  anchors: readPem(place.ca, '-ca-cert-file'),
});
const profile = parseTlsProfile({}, { minVersion: '-tls-min-version', cipherSuites: '-tls-cipher-suites' });
const dataPlane = openDataPlane({
  threads: place.threads ?? 1,
  security: () => ({ t: 'tls', material: () => material, profile }),
  onEvent: event => metrics.proxyEvent(event),
  log: createLogger({ name: 'bench-front', level: 'warn' }),
});
// The shim socket last: whoever finds it finds the others open too.
for (const socket of [...(place.moreSockets ?? []), place.shimSocket])
  await dataPlane.open({
    sandbox: basename(socket, '.sock'),
    pod: 'bench/bench',
    socket,
    addresses: ['127.0.0.1'],
    port: place.port,
    tls: { material: 'bench', serverName: place.serverName },
    rewrites: { directVolumes: DIRECT_VOLUMES },
    limits: { redialBudgetMs: REDIAL_BUDGET_MS },
  });
