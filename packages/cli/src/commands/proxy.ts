// SPDX-License-Identifier: Apache-2.0
// The commands that look at the data path of a node, on the command line: proxy list, proxy stop.
import { command, jsonFlag, roof, type Flags } from '../command.js';

const placeFlags = {
  'state-dir': {
    type: 'string',
    env: 'STATE_DIR',
    default: '',
    describe: 'the -state-dir of the adaptor; left out: where adaptors keep their state by default',
  },
  'proxy-socket': {
    type: 'string',
    env: 'PROXY_SOCKET',
    default: '',
    describe: 'control socket of one proxy that somebody else runs, instead of -state-dir',
  },
} as const satisfies Flags;

const list = command({
  command: 'list',
  summary: 'show the proxies of this node and the pods whose connections they carry',
  about:
    'Lists every agent-protocol-proxy that an adaptor of this node started: its generation, whether it takes new pods ' +
    '(serving) or ends after its last (retired), and its sandboxes with the connections of their shims.',
  flags: { ...placeFlags, ...jsonFlag },
  examples: [['peerpod proxy list', 'the proxies of this node']],
  load: async () => (await import('../proxy/list.js')).listProxies,
});

const stop = command({
  command: 'stop [generation..]',
  summary: 'end proxies that carry no pod, or with -now every one',
  about:
    'Ends proxies, all or those of the generations that are named. One that carries pods goes on and they are listed, ' +
    'unless -now is given: then these pods end, as their shims lose their connections. A running adaptor starts a new one.',
  words: {
    generation: { describe: 'generations as peerpod proxy list shows them, or the beginning of one' },
  },
  flags: {
    ...placeFlags,
    now: { type: 'boolean', default: false, describe: 'end it with the pods whose connections it carries' },
    ...jsonFlag,
  },
  examples: [
    ['peerpod proxy stop', 'before a node is taken down, once its pods are gone'],
    ['peerpod proxy stop -now 0.1.0', 'end the pods of one generation'],
  ],
  load: async () => (await import('../proxy/stop.js')).stopProxies,
});

export const proxy = roof({
  command: 'proxy',
  summary: 'list and end the proxies that carry the pods of this node',
  about:
    'The data path of a node lives in programs of its own, which a restart of the adaptor does not touch.',
  verbs: [list, stop],
  examples: [
    ['peerpod proxy list', 'the proxies of this node'],
    ['peerpod proxy stop', 'end those that carry no pod'],
  ],
});
