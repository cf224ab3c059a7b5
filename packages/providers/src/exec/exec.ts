// SPDX-License-Identifier: Apache-2.0
// The provider `exec`, where any script is a cloud: its flags, and what they mean. What it does is exec-provider.ts.
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { READY_FD, type Flag, type FlagValues } from '@peerpod-tls/daemon';
import { ProviderError } from '../errors.js';
import { ExecProvider, type ExecSettings } from './provider.js';
import { readCommand, type Command } from './command-line.js';
import { checkDataDir, ownerName } from '../host/data-dir.js';
import type { ProviderContext, ProviderModule } from '../provider.js';

const CREATE_MS = 600_000;
const DELETE_MS = 300_000;
const LIST_MS = 60_000;

const flags = {
  'create-command': {
    type: 'string',
    env: 'EXEC_CREATE_COMMAND',
    placeholder: 'COMMAND',
    describe: 'makes an instance: JSON on standard input, {"id","name","ips"} on standard output',
  },
  'delete-command': {
    type: 'string',
    env: 'EXEC_DELETE_COMMAND',
    placeholder: 'COMMAND',
    describe:
      'deletes an instance: its id as the last argument, JSON on standard input; one that is gone is a success',
  },
  'list-command': {
    type: 'string',
    env: 'EXEC_LIST_COMMAND',
    placeholder: 'COMMAND',
    describe:
      'prints {"instances":[{"id","name","ips","token"}]} (left out: what this adaptor remembers counts)',
  },
  'exec-timeout': {
    type: 'duration',
    env: 'EXEC_TIMEOUT',
    min: '1s',
    placeholder: 'DURATION',
    describe: 'how long a command may run (left out: 10m to create, 5m to delete, 1m to list)',
  },
  'user-data-limit': {
    type: 'integer',
    env: 'EXEC_USER_DATA_LIMIT',
    default: 65_536,
    min: 4_096,
    max: 16_777_216,
    placeholder: 'BYTES',
    describe: 'largest user-data the platform takes',
  },
  'data-dir': {
    type: 'string',
    env: 'EXEC_DATA_DIR',
    placeholder: 'DIR',
    describe:
      'where the adaptor remembers instances; without it /var/lib/peerpod-exec, or for others than root below ~/.local/state',
  },
} as const satisfies Record<string, Flag>;

export const exec: ProviderModule<typeof flags> = {
  name: 'exec',
  describe: 'pod VMs made and deleted by scripts of yours',
  flags,
  create: async (values: FlagValues<typeof flags>, context: ProviderContext) =>
    new ExecProvider(readSettings(values, context, process.env)),
};

/** Not for scripts: a secret of the adaptor's own, and the lines to whoever started the adaptor. */
const KEPT_BACK: ReadonlySet<string> = new Set([
  'INITDATA',
  'NOTIFY_SOCKET',
  'WATCHDOG_PID',
  'WATCHDOG_USEC',
  'LISTEN_FDS',
  'LISTEN_PID',
  READY_FD,
]);

function readSettings(
  values: FlagValues<typeof flags>,
  context: ProviderContext,
  env: NodeJS.ProcessEnv,
): ExecSettings {
  const command = (name: 'create-command' | 'delete-command' | 'list-command'): Command | null => {
    const text = values[name];
    return text === undefined ? null : readCommand(text, `-${name}`, env);
  };
  const create = command('create-command');
  const remove = command('delete-command');
  if (create === null || remove === null) {
    const missing = create === null ? '-create-command' : '-delete-command';
    throw new ProviderError('ERR_PROVIDER_CONFIG', `the exec provider needs ${missing}`, {
      hint: 'what the commands read and print is in docs/providers/exec.md, with examples',
    });
  }
  const dataDir = checkDataDir(
    values['data-dir'] ?? defaultDataDir(env, process.getuid?.() ?? 0),
    context.podsDir,
  );
  const owner = ownerName(context.podsDir);
  const timeout = values['exec-timeout'];
  const passedOn = Object.entries(env).filter(([name]) => !KEPT_BACK.has(name));
  return {
    create,
    remove,
    list: command('list-command'),
    createMs: timeout ?? CREATE_MS,
    deleteMs: timeout ?? DELETE_MS,
    listMs: timeout ?? LIST_MS,
    userDataBytes: values['user-data-limit'],
    owner,
    dataDir,
    home: join(dataDir, owner),
    env: {
      ...Object.fromEntries(passedOn),
      PEERPOD_NODE: process.execPath,
      PEERPOD_FORWARDER_PORT: String(context.forwarderPort),
    },
    log: context.log,
  };
}

/** `/var/lib/peerpod-exec` for root: machines in a cloud outlive a reboot of this one. */
function defaultDataDir(env: NodeJS.ProcessEnv, uid: number): string {
  if (uid === 0) return '/var/lib/peerpod-exec';
  const state = env['XDG_STATE_HOME'] ?? '';
  return join(isAbsolute(state) ? state : join(homedir(), '.local/state'), 'peerpod-exec');
}
