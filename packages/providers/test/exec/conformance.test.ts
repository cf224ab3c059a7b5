// SPDX-License-Identifier: Apache-2.0
// The shared suite on the provider `exec`: with scripts that make plain files, and with the shipped example, whose
// machines are real processes.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { renderCloudConfig } from '@peerpod-tls/user-data';
import type { Logger } from 'pino';
import t from 'tap';
import { MARKER } from '../../src/host/vm-processes.js';
import { conformance } from '../kit/conformance.js';
import { ANSWER, CREATE, DELETE, makeExecWorld } from '../kit/exec-world.js';
import { freePort } from '../../../../test/kit/free-port.js';
import { realUserData } from '../kit/user-data.js';

const { userData, secret } = await realUserData('podvm-conformance');

t.test('scripts of three lines', async t => {
  const world = makeExecWorld(t);
  const create = world.script('create', `${CREATE}sleep 0.1\n${ANSWER}`);
  const failing = world.script('failing', `${CREATE}cat "machine-$token" >&2; exit 3\n`);
  const remove = world.script('delete', DELETE);
  // Nothing but control characters would have to be changed for user-data to fit into JSON; it comes out as it was.
  const odd = `${userData}# \u00e9\u2028\ud83d\ude00 "\\ \t\r\n\r\n  \n`;
  const flags = (script: string): string[] => ['-create-command', script, '-delete-command', remove];
  await conformance(t, {
    userData: odd,
    secret,
    provider: log => world.provider(flags(create), { log }),
    stranger: log => world.provider(flags(create), { log, podsDir: join(world.directory, 'others') }),
    broken: async log => ({ provider: await world.provider(flags(failing), { log }) }),
    readUserData: async ({ token }) => {
      const document: unknown = JSON.parse(
        readFileSync(join(world.directory, `machine-${token ?? ''}`), 'utf8'),
      );
      return typeof document === 'object' && document !== null && 'userData' in document
        ? String(document.userData)
        : '';
    },
    leftovers: () => [...world.machines(), ...filesIn(join(world.directory, 'table'))],
  });
});

t.test('the shipped example, with a list command', async t => {
  const world = makeExecWorld(t);
  const machines = join(world.directory, 'm');
  const examples = fileURLToPath(new URL('../../examples/exec', import.meta.url));
  process.env['PEERPOD_EXAMPLE_DIR'] = machines;
  t.teardown(() => delete process.env['PEERPOD_EXAMPLE_DIR']);
  const failing = world.script(
    'failing',
    `${examples}/create-processes.sh; echo "the quota is used up" >&2; exit 3\n`,
  );
  const port = await freePort();
  const make = (create: string) => (log: Logger, podsDir?: string) =>
    world.provider(
      [
        `-create-command=env -u NODE_OPTIONS PEERPOD_FORWARDER_PORT=${port} ${create}`,
        `-delete-command=env -u NODE_OPTIONS ${examples}/delete.sh`,
        `-list-command=env -u NODE_OPTIONS ${examples}/list.sh`,
      ],
      { log, ...(podsDir === undefined ? {} : { podsDir }) },
    );
  const sound = make(`${examples}/create-processes.sh`);
  await conformance(t, {
    userData,
    secret,
    provider: log => sound(log),
    stranger: log => sound(log, join(world.directory, 'others')),
    broken: async log => ({ provider: await make(failing)(log) }),
    // The seed is gone once it was read; what the guest made of it has to be the whole user-data again.
    readUserData: async ({ id }) =>
      renderCloudConfig([
        {
          path: '/run/peerpod/apf.json',
          content: readFileSync(join(machines, id, 'fs/run/peerpod/apf.json'), 'utf8'),
        },
      ]),
    leftovers: () => [
      ...filesIn(machines).filter(name => name !== 'addresses'),
      ...processesIn(machines),
      ...filesIn(join(world.directory, 'table')),
    ],
    middleMs: 400,
  });
});

/** Files below a directory, as paths; directories themselves only where they are machines. */
function filesIn(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() || (entry.isDirectory() && /^[0-9a-f]{12}$/.test(entry.name)))
    .map(entry => entry.name);
}

/** Processes of machines below a directory, told by the mark that all of them inherit. */
function processesIn(directory: string): string[] {
  return readdirSync('/proc').filter(pid => {
    try {
      return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`${MARKER}=${directory}/`);
    } catch {
      return false;
    }
  });
}
