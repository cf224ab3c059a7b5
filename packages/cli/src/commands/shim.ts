// SPDX-License-Identifier: Apache-2.0
// The commands that stand in for a kata shim, on the command line: run, stop, agent.
import { command, jsonFlag } from '../command.js';
import { addressFlag, socketFlag } from './flags.js';

export const run = command({
  command: 'run',
  summary: 'create a pod VM, run a command in it, pass its streams and exit code on',
  about:
    'Creates a pod VM through a running cloud-api-adaptor, runs COMMAND in it, and deletes the VM afterwards.\n' +
    'Ctrl-C goes to the command; a second one deletes the VM. The exit code is that of the command, 128+n when ' +
    'signal n ended it, or 125 when there was no command to have one.',
  tail: '-- COMMAND [ARGUMENT...]',
  flags: {
    ...socketFlag,
    name: { type: 'string', default: 'peerpod-run', describe: 'pod name' },
    namespace: { type: 'string', default: 'default', describe: 'pod namespace' },
    id: { type: 'string', describe: 'sandbox id; left out: made from the pod name' },
    env: { type: 'list', describe: 'NAME=VALUE,... for the command; no comma in a value' },
    workdir: { type: 'string', default: '/', describe: 'directory the command runs in' },
    rootfs: {
      type: 'string',
      default: '/',
      describe: "directory in the VM that is the command's root; the VM's own unless it has another one",
    },
    'machine-type': { type: 'string', describe: 'instance type, in words of the provider' },
    image: { type: 'string', describe: 'VM image, in words of the provider' },
    wait: {
      type: 'duration',
      default: '10s',
      describe: 'how long to wait for an adaptor that is not there yet; 0s: not at all',
    },
    vcpus: { type: 'integer', min: 1, max: 1024, describe: 'processors of the VM' },
    memory: { type: 'integer', min: 1, max: 16_777_216, describe: 'memory of the VM in MiB' },
    detach: {
      type: 'boolean',
      default: false,
      describe: 'leave command and VM running, and print the sandbox id',
    },
    'no-stdin': { type: 'boolean', default: false, describe: 'give the command an empty standard input' },
    quiet: { type: 'boolean', default: false, describe: 'say nothing about the pod VM on standard error' },
    ...jsonFlag,
  },
  examples: [
    ["peerpod run -- sh -c 'uname -a'", 'one command in a VM of its own'],
    ['tar c src | peerpod run --name build -- tar t', 'standard input passes too'],
    ['id=$(peerpod run --detach -- sleep 600)', 'stays until peerpod stop $id'],
  ],
  load: async () => (await import('../shim/run.js')).run,
});

export const stop = command({
  command: 'stop <id..>',
  summary: 'stop pod VMs',
  about:
    'Stops sandboxes: the VM is deleted with everything that was made for it. All are tried, whatever fails.',
  words: { id: { describe: 'ids of sandboxes, as peerpod ps shows them' } },
  missing: 'stop needs the id of a sandbox',
  flags: { ...socketFlag, ...jsonFlag },
  examples: [
    ['peerpod stop web-1f00c2aa', 'one sandbox'],
    ['peerpod stop $(peerpod ps --quiet)', 'all of them'],
  ],
  load: async () => (await import('../shim/stop.js')).stop,
});

const agentList = command({
  command: 'list [method]',
  summary: 'show every method, or the fields of one',
  about: 'Shows every method of an agent with the fields of its request, or one method with its answer too.',
  words: { method: { describe: 'the method to show' } },
  flags: {},
  examples: [
    ['peerpod agent list', 'every method'],
    ['peerpod agent list CreateContainer', 'the fields of its request and answer'],
  ],
  load: async () => (await import('../agent/list.js')).list,
});

export const agent = command({
  command: 'agent <method> [request]',
  summary: 'call any method of an agent through its socket, JSON in and out',
  about:
    'Calls a method of grpc.AgentService or grpc.Health and prints the answer as JSON. The request is JSON on the ' +
    'command line, in a file behind @, or on standard input with -; left out: an empty request. Field names as in ' +
    'the .proto files or in camel case, bytes as base64, 64-bit numbers as strings.',
  words: {
    method: { describe: 'the method to call; peerpod agent list shows them' },
    request: { describe: 'JSON, @FILE or -' },
  },
  missing: 'agent needs the method to call',
  verbs: [agentList],
  flags: {
    socket: {
      type: 'string',
      env: 'PEERPOD_AGENT_SOCKET',
      describe: 'agent socket: agent.ttrpc of a sandbox, or that of kata-agent itself',
    },
    sandbox: {
      type: 'string',
      describe: 'the sandbox by its id, the beginning of one, or its pod, instead of -socket',
    },
    ...addressFlag,
    timeout: {
      type: 'duration',
      describe:
        'how long to wait for the answer; left out: 1m0s, and without limit for methods that wait by nature',
    },
    compact: { type: 'boolean', default: false, describe: 'print the answer on one line' },
    json: { type: 'boolean', default: false, describe: 'print a failure as JSON too, on standard output' },
  },
  examples: [
    ['peerpod agent Check --sandbox web', 'is the agent of the pod web there?'],
    ['peerpod agent Check --socket agent.ttrpc', 'the same through a socket'],
    [`peerpod agent StatsContainer '{"container_id":"c"}' -sandbox web`, 'a request in JSON'],
  ],
  load: async () => (await import('../agent/agent.js')).agent,
});
