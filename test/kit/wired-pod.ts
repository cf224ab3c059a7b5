// SPDX-License-Identifier: Apache-2.0
// A pod over a network of the kernel's: the real adaptor on one host of a Wire, the real guest programs on the other.
// The adaptor's cloud is its exec provider, whose command leaves the user-data here.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporary } from './directory.js';
import { Wire } from './netns.js';
import { Program, type Teardown } from './program.js';
import { ProxyLog } from './proxies.js';
import { dialAgent, dialHypervisor, startContainer, startPod, type ShimAgent } from './shim.js';
import { Vm } from './vm.js';

const PORT = 15150;
const STATUS_PORT = 15151;

export interface WiredPod extends ShimAgent {
  readonly wire: Wire;
  readonly adaptor: Program;
  /** What the half of the path on the worker logs. */
  readonly proxy: ProxyLog;
  readonly vm: Vm;
  /** What the daemon of this host says of itself over HTTP, asked from beside it. */
  metrics(host: 'worker' | 'vm'): string;
  /** The agent's socket, for further connections of a shim. */
  readonly path: string;
  /** The test's directory; the VM's root, too. */
  readonly directory: string;
}

export interface WiredOptions {
  /** What the adaptor dials. */
  readonly family: 'v4' | 'v6';
  /** What the forwarder listens on. */
  readonly listen: string;
  /** A shell command that runs as the first process of container `c`; `$DIR` is {@link WiredPod.directory}. */
  readonly command: string;
  readonly forwarderFlags?: readonly string[];
}

/** A started pod with one container, and a shim that is connected to it. */
export async function wiredPod(t: Teardown, o: WiredOptions): Promise<WiredPod> {
  const directory = temporary(t);
  const wire = Wire.lay(t);
  const document = join(directory, 'document.json');
  const create = join(directory, 'create');
  const answer = JSON.stringify({ id: 'vm', ips: [wire[o.family].vm] });
  const script = `#!/bin/sh\numask 077\ncat > '${document}.new'\nmv '${document}.new' '${document}'\necho '${answer}'\n`;
  writeFileSync(create, script, { mode: 0o700 });
  const socket = join(directory, 'h.sock');
  const adaptor = new Program(
    t,
    'cloud-api-adaptor',
    [
      'exec',
      `-socket=${socket}`,
      `-pods-dir=${join(directory, 'pods')}`,
      `-data-dir=${join(directory, 'data')}`,
      `-create-command='${create}'`,
      '-delete-command=true',
      `-forwarder-port=${PORT}`,
      `-status-address=127.0.0.1:${STATUS_PORT}`,
    ],
    { within: wire.on('worker') },
  );
  await adaptor.said('adaptor started');
  const { client, hypervisor } = await dialHypervisor(socket);
  t.teardown(() => client.close());
  const started = startPod(hypervisor, 'wired');
  const userData = await userDataIn(directory, document, started);
  const guest = join(directory, 'vm');
  mkdirSync(guest, { mode: 0o700 });
  const vm = new Vm(t, {
    directory: guest,
    userData,
    host: o.listen,
    port: PORT,
    forwarderFlags: ['-status-address', `127.0.0.1:${STATUS_PORT}`, ...(o.forwarderFlags ?? [])],
    within: wire.on('vm'),
  });
  const ask = `process.stdout.write(await (await fetch('http://127.0.0.1:${STATUS_PORT}/metrics')).text())`;
  const metrics = (host: 'worker' | 'vm'): string => {
    const words = [
      '-u',
      'NODE_OPTIONS',
      ...wire.on(host),
      process.execPath,
      '--input-type=module',
      '-e',
      ask,
    ];
    return execFileSync('env', words, { encoding: 'utf8', timeout: 10_000 });
  };
  const [path] = await Promise.all([started, vm.boot()]);
  const shim = await dialAgent(path);
  t.teardown(() => shim.client.close());
  await startContainer(shim.agent, 'c', `DIR='${directory}'; ${o.command}`);
  return { ...shim, wire, adaptor, proxy: new ProxyLog(directory), vm, path, directory, metrics };
}

/** The user-data that the create command was handed; rejects with what StartVM rejects with. */
async function userDataIn(directory: string, document: string, started: Promise<string>): Promise<string> {
  const watcher = watch(directory);
  try {
    await new Promise<void>((resolve, reject) => {
      const look = (): void => {
        if (existsSync(document)) resolve();
      };
      watcher.on('change', look);
      started.catch(reject);
      look();
    });
  } finally {
    watcher.close();
  }
  const { userData }: { userData: string } = JSON.parse(readFileSync(document, 'utf8'));
  return userData;
}
