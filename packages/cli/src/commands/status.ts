// SPDX-License-Identifier: Apache-2.0
// The commands that look at an adaptor, on the command line: ps, status, orphans.
import { command, jsonFlag } from '../command.js';
import { addressFlag, quietFlag, socketFlag } from './flags.js';

export const ps = command({
  command: 'ps',
  summary: 'list the sandboxes of an adaptor',
  about: 'Lists the sandboxes of a running cloud-api-adaptor, as its status endpoint tells them.',
  flags: { ...addressFlag, ...quietFlag, ...jsonFlag },
  examples: [
    ['peerpod ps', 'the adaptor of this machine'],
    ['peerpod stop $(peerpod ps --quiet)', 'stop every sandbox'],
  ],
  load: async () => (await import('../status/ps.js')).ps,
});

export const status = command({
  command: 'status',
  summary: 'readiness, links, calls and certificate expiry of an adaptor',
  about: 'Asks a running cloud-api-adaptor how it is. Exit code 1 when it is not ready or does not answer.',
  flags: { ...addressFlag, ...jsonFlag },
  examples: [
    ['peerpod status', 'the adaptor of this machine'],
    ['peerpod status --json | jq .summary.expiry', 'for scripts'],
  ],
  load: async () => (await import('../status/status.js')).status,
});

const deleteOrphans = command({
  command: 'delete <id..>',
  summary: 'delete the instances with these ids',
  about: 'Deletes instances that belong to no sandbox. An instance of a sandbox is never deleted.',
  words: { id: { describe: 'ids of instances, as peerpod orphans shows them' } },
  missing: 'orphans delete needs the id of an instance',
  flags: { ...socketFlag, ...jsonFlag },
  examples: [['peerpod orphans delete 1f00c2aa93d1', 'delete one']],
  load: async () => (await import('../orphans/orphans.js')).deleteOrphans,
});

export const orphans = command({
  command: 'orphans',
  summary: 'list instances without a sandbox and sandboxes without a shim; delete instances',
  about:
    'Lists the instances on the platform that the adaptor made and no sandbox accounts for, as after a lost state ' +
    'directory, and the running sandboxes that no shim uses any more, as after a restart of the adaptor under kata. ' +
    'Nothing is deleted but what delete names; peerpod stop ends a sandbox.',
  verbs: [deleteOrphans],
  flags: {
    ...addressFlag,
    ...socketFlag,
    fresh: {
      type: 'boolean',
      default: false,
      describe: 'let the adaptor look at the platform now, through -socket, instead of what it saw last',
    },
    ...quietFlag,
    ...jsonFlag,
  },
  examples: [
    ['peerpod orphans', 'what the adaptor saw when it last looked'],
    ['peerpod orphans -fresh', 'what is there now'],
  ],
  load: async () => (await import('../orphans/orphans.js')).orphans,
});
