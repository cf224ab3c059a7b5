// SPDX-License-Identifier: Apache-2.0
// `npm run bench:pods`: how long StartVM takes with each provider and where the time goes, read from the clocks of the
// adaptor's log and of the pod VM's console; and what memory the pod takes. One pod after another, none of them warm.
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { hypervisorService } from '@peerpod-tls/agent-protocol';
import { clientOf, connectUnix } from '@peerpod-tls/ttrpc';
import { processesOf } from '../../packages/providers/src/host/vm-processes.js';
import { annotations } from '../kit/shim.js';
import { DockerWorld } from '../../packages/providers/test/kit/docker-world.js';
import { Program } from '../../packages/adaptor/test/kit/program.js';
import { proxiesOf } from '../kit/proxies.js';
import { openSandbox, runIn } from '../../packages/providers/test/kit/qemu-world.js';
import { whyNoEngine } from '../kit/docker-engine.js';
import { figure } from './measure.js';

const usage = `Measures how long StartVM takes with each provider, where the time goes, and the memory of the pod.

  npm run bench:pods [-- [--runs N] [--image FILE] [local] [docker] [qemu]]

  --runs N      pods per provider, one after another (default 5)
  --image FILE  the pod VM image that qemu boots
`;

/** The command line; refuses with the usage and exit code 2. */
function commandLine() {
  try {
    return parseArgs({
      options: {
        runs: { type: 'string', default: '5' },
        image: { type: 'string', default: '' },
        help: { type: 'boolean', short: 'h', default: false },
      },
      allowPositionals: true,
    });
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
    process.exit(2);
  }
}

const { values, positionals } = commandLine();
if (values.help) {
  process.stdout.write(usage);
  process.exit(0);
}
const MEMORY_MIB = '768';

/** A provider to be measured: its flags, what the pod VM wrote on its console, what it takes of memory. */
interface Platform {
  readonly flags: readonly string[];
  console(instance: string): Promise<string>;
  memoryMiB(instance: string, socket: string): Promise<number>;
}

/** Milliseconds of one start, by stage, in order. */
type Stages = Record<string, number>;

async function platform(name: string, directory: string): Promise<{ on: Platform; end(): Promise<void> }> {
  const data = `-data-dir=${path.join(directory, 'vms')}`;
  const nothing = async (): Promise<void> => {};
  if (name === 'local') {
    const on: Platform = {
      flags: [data],
      console: async id => consoleOf(directory, id),
      memoryMiB: async id => ownMemory(processesOf(directoryOf(directory, id))),
    };
    return { on, end: nothing };
  }
  if (name === 'qemu') {
    const on: Platform = {
      flags: [data, `-qemu-image=${values.image}`],
      console: async id => consoleOf(directory, id),
      memoryMiB: async (_id, socket) => guestMemory(socket),
    };
    return { on, end: nothing };
  }
  if (name === 'docker') {
    const world = await DockerWorld.start();
    const on: Platform = {
      flags: [
        `-docker-host=${world.engine.host}`,
        `-docker-network-name=${world.network}`,
        `-data-dir=${world.seeds}`,
      ],
      console: async id => {
        const { stdout, stderr } = await world.engine.docker('logs', id);
        return stdout + stderr;
      },
      memoryMiB: async id => {
        const { stdout } = await world.engine.docker('top', id, '-o', 'pid');
        return ownMemory(
          stdout
            .split('\n')
            .slice(1)
            .filter(pid => pid !== '')
            .map(Number),
        );
      },
    };
    return { on, end: () => world.close() };
  }
  throw new Error(`no provider ${name} to measure: local, docker or qemu (with --image)`);
}

/** The directory that a provider made for an instance, somewhere below. */
function directoryOf(below: string, instance: string): string {
  const last = instance.split('/').at(-1) ?? instance;
  const found = readdirSync(below, { recursive: true, encoding: 'utf8' }).find(
    name => path.basename(name) === last && existsSync(path.join(below, name, 'console.log')),
  );
  if (found === undefined) throw new Error(`no directory of ${instance} below ${below}`);
  return path.join(below, found);
}

const consoleOf = (below: string, instance: string): string =>
  readFileSync(path.join(directoryOf(below, instance), 'console.log'), 'utf8');

/** Proportional set size of processes, in MiB. proc(5), smaps_rollup. */
function ownMemory(pids: readonly number[]): number {
  const kib = pids.map(pid =>
    Number(/^Pss: +(\d+)/mu.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? Number.NaN),
  );
  return kib.reduce((sum, each) => sum + each, 0) / 1024;
}

/** Memory that is not available any more in the guest, in MiB. */
async function guestMemory(socket: string): Promise<number> {
  const shim = await openSandbox(socket);
  const { stdout } = await runIn(shim.agent, 'meminfo', 'cat /proc/meminfo');
  shim.client.close();
  const kib = (key: string): number => Number(new RegExp(`^${key}: +(\\d+)`, 'mu').exec(stdout)?.[1] ?? NaN);
  return (kib('MemTotal') - kib('MemAvailable')) / 1024;
}

/** When a line with this message was written on the console, as its writer's clock has it. */
function timeOf(text: string, message: string): number {
  for (const [json] of text.matchAll(/\{"level".*\}/gu)) {
    const line: unknown = JSON.parse(json);
    if (typeof line !== 'object' || line === null || !('msg' in line) || !('time' in line)) continue;
    if (line.msg === message) return new Date(String(line.time)).getTime();
  }
  return NaN;
}

async function measure(name: string): Promise<void> {
  const directory = mkdtempSync(path.join(tmpdir(), 'ppbench-'));
  const { on, end } = await platform(name, directory);
  const adaptor = new Program([
    name,
    `-socket=${path.join(directory, 'h.sock')}`,
    `-pods-dir=${path.join(directory, 'pods')}`,
    '-status-address=127.0.0.1:0',
    ...on.flags,
    '-peerpods-limit-per-node=-1',
  ]);
  try {
    await adaptor.next('adaptor started');
    const client = await connectUnix(path.join(directory, 'h.sock'));
    const hypervisor = clientOf(hypervisorService, client);
    const runs: Stages[] = [];
    const memory: number[] = [];
    for (let run = 0; run < Number(values.runs); run++) {
      const id = `bench-${name}-${run}`;
      const memoryAsked = { 'io.katacontainers.config.hypervisor.default_memory': MEMORY_MIB };
      const { agentSocketPath } = await hypervisor.CreateVM({
        id,
        annotations: annotations('bench', 'default', memoryAsked),
        networkNamespacePath: '',
      });
      const asked = Date.now();
      const began = performance.now();
      await hypervisor.StartVM({ id });
      const whole = performance.now() - began;
      const line = (msg: string) => adaptor.lines().findLast(l => l.msg === msg && l['sandbox'] === id) ?? {};
      const instance = String(Reflect.get(line('instance created'), 'instance'));
      const number = (msg: string, key: string): number => Number(Reflect.get(line(msg), key));
      const said = await on.console(instance);
      const userDataRead = timeOf(said, 'files written') - asked;
      const listening = timeOf(said, 'forwarder listened') - asked;
      const lastTry = number('agent answered', 'lastTryMs');
      const tls = number('link verified', 'handshakeMs');
      runs.push({
        'StartVM, all of it': whole,
        'provider returned the instance, after': number('instance created', 'ms'),
        'user-data read and written, after': userDataRead,
        'forwarder listened, after': listening,
        'from then to the try that succeeded': whole - lastTry - listening,
        'that try: TLS handshake': tls,
        'that try: connect, and the agent’s answer to Check': lastTry - tls,
      });
      memory.push(await on.memoryMiB(instance, agentSocketPath));
      await hypervisor.StopVM({ id });
    }
    client.close();
    process.stdout.write(`\n${name}, ${runs.length} runs: median (least to most)\n`);
    for (const stage of Object.keys(runs[0] ?? {}))
      print(
        stage,
        'ms',
        runs.map(r => r[stage] ?? NaN),
      );
    print(name === 'qemu' ? 'memory used in the guest' : 'memory of the pod’s processes', 'MiB', memory);
  } finally {
    await adaptor.kill('SIGTERM');
    for (const pid of proxiesOf(directory)) process.kill(pid, 'SIGKILL');
    await end();
    rmSync(directory, { recursive: true, force: true });
  }
}

function print(what: string, unit: string, samples: readonly number[]): void {
  const { min, median, max } = figure(samples);
  const n = (value: number): string => value.toFixed(value < 10 ? 1 : 0);
  process.stdout.write(`  ${what.padEnd(52)} ${n(median)} ${unit} (${n(min)} to ${n(max)})\n`);
}

const asked = positionals.length > 0 ? positionals : ['local'];
for (const name of asked) {
  const missing =
    name === 'docker' ? whyNoEngine() : name === 'qemu' && values.image === '' ? '--image is missing' : '';
  if (missing === '') await measure(name);
  else process.stdout.write(`\n${name} left out: ${missing}\n`);
}
