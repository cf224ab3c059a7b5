// SPDX-License-Identifier: Apache-2.0
// The shared suite on the provider `local`.
import { mkdtempSync, readFileSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseFlags } from '@peerpod-tls/daemon';
import { renderCloudConfig } from '@peerpod-tls/user-data';
import type { Logger } from 'pino';
import t from 'tap';
import { ownerName } from '../../src/host/data-dir.js';
import { isId, pathsOf } from '../../src/host/vm-directory.js';
import { processesOf } from '../../src/host/vm-processes.js';
import { local } from '../../src/local/local.js';
import type { Provider } from '../../src/provider.js';
import { conformance } from '../kit/conformance.js';
import { freePort } from '../../../../test/kit/free-port.js';
import { realUserData } from '../kit/user-data.js';

const directory = realpathSync(mkdtempSync(join(tmpdir(), 'lc-')));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));
const vms = join(directory, 'vms');
const podsDir = join(directory, 'pods');
const port = await freePort();
const { userData, secret } = await realUserData('podvm-conformance');

async function make(log: Logger, pods: string, ...argv: string[]): Promise<Provider> {
  const flags = ['-data-dir', vms, ...argv];
  const parsed = parseFlags({ program: 'test', usage: '', flags: local.flags, argv: flags, env: {} });
  if (parsed.t === 'help') throw new Error('unexpected help');
  return local.create(parsed.values, { log, podsDir: pods, forwarderPort: port });
}

await conformance(t, {
  userData,
  secret,
  provider: log => make(log, podsDir),
  stranger: log => make(log, join(directory, 'other-pods')),
  // The seed is gone once it was read; what the guest made of it has to be the whole user-data again.
  readUserData: async ({ id }) =>
    renderCloudConfig([
      {
        path: '/run/peerpod/apf.json',
        content: readFileSync(pathsOf(join(vms, ownerName(podsDir)), id).config, 'utf8'),
      },
    ]),
  // The directories of VMs, reservations of addresses, and whatever runs.
  leftovers: () => [
    ...readdirSync(vms, { recursive: true })
      .map(String)
      .filter(name => isId(name.split('/')[1] ?? '') || name.startsWith('addresses/')),
    ...processesOf(vms).map(String),
  ],
  broken: async log => ({ provider: await make(log, podsDir, '-forwarder-options', '-no-such-flag') }),
  // The guest's programs are being started by then.
  middleMs: 150,
});
