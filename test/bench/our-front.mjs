// SPDX-License-Identifier: Apache-2.0
// The adaptor's half of our pair: its own proxy, edits and metrics, without the hypervisor service, so that it meets the
// same echo agent as every peer.
import { createLogger } from '../../packages/daemon/dist/index.js';
import { checkMaterial, parseTlsProfile, readPem } from '../../packages/certs/dist/index.js';
import { adaptorEdits } from '../../packages/adaptor/dist/edits.js';
import { Metrics } from '../../packages/adaptor/dist/metrics.js';
import { SandboxProxy } from '../../packages/adaptor/dist/proxy.js';
import { readFileSync } from 'node:fs';

const place = JSON.parse(readFileSync(process.argv[3], 'utf8'));
const metrics = new Metrics({ sandboxes: () => [], expiries: () => [], openLinks: () => 0 });
const material = checkMaterial({
  role: 'client',
  cert: readPem(place.client.cert, '-cert-file'),
  key: readPem(place.client.key, '-cert-key'),
  anchors: readPem(place.ca, '-ca-cert-file'),
});
const profile = parseTlsProfile({}, { minVersion: '-tls-min-version', cipherSuites: '-tls-cipher-suites' });
await SandboxProxy.open({
  sandbox: 'bench',
  socket: place.shimSocket,
  host: '127.0.0.1',
  port: place.port,
  serverName: place.serverName,
  security: { t: 'tls', material: () => material, profile },
  edits: adaptorEdits(),
  observer: metrics.observer,
  onRefused: () => {},
  log: createLogger({ name: 'bench-front', level: 'warn' }),
});
