// SPDX-License-Identifier: Apache-2.0
// Real virtual machines for the vm suite: the qemu provider, an adaptor with it as a process, and what goes on in a
// guest. Their images are in vm-image.ts, what a test with them begins with in vm-test.ts.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Test } from 'tap';
import { Authority, checkMaterial, selfSignedClient } from '@peerpod-tls/certs';
import { parseFlags } from '@peerpod-tls/daemon';
import { dialUntilHealthy } from '@peerpod-tls/link';
import { pino, type Logger } from 'pino';
import { MARKER, processesOf } from '../../src/host/vm-processes.js';
import type { Provider } from '../../src/provider.js';
import { qemu } from '../../src/qemu/qemu.js';
import {
  annotations,
  dialAgent,
  dialHypervisor,
  type ShimAgent,
  type ShimHypervisor,
} from '../../../../test/kit/shim.js';
import { eventually } from '../../../../test/kit/log.js';
import { proxiesOf } from '../../../../test/kit/proxies.js';
import { Program } from '../../../adaptor/test/kit/program.js';

/** The provider itself over an image, small machines below `directory`; another `pods` is another adaptor's. */
export async function makeProvider(
  directory: string,
  image: string,
  log: Logger,
  pods = 'pods',
): Promise<Provider> {
  const argv = [`-qemu-image=${image}`, `-data-dir=${path.join(directory, 'vms')}`, '-qemu-memory=512'];
  const parsed = parseFlags({ program: 'test', usage: '', flags: qemu.flags, argv, env: {} });
  if (parsed.t === 'help') throw new Error('no flags but help');
  return qemu.create(parsed.values, { log, podsDir: path.join(directory, pods), forwarderPort: 15_150 });
}

/**
 * Has the image at `disk` do nothing but this: mount the seed disk and say on the console, in base64, what user-data
 * its kernel reads there. Boots in seconds, and ends only from outside.
 */
export function makeReader(disk: string): void {
  const init = `${disk}.init`;
  writeFileSync(
    init,
    `#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
modprobe isofs
until [ -b /dev/vdb ]; do sleep 0.1; done
mount -t iso9660 -o ro /dev/vdb /mnt
{ echo; echo ${READ_BEGIN}; base64 /mnt/user-data; echo ${READ_END}; } >/dev/console
while :; do sleep 1000; done
`,
  );
  const commands = `${disk}.commands`;
  const at = '/usr/sbin/init';
  writeFileSync(commands, `rm ${at}\nwrite ${init} ${at}\nsif ${at} mode 0100755\n`);
  const done = spawnSync('debugfs', ['-w', '-f', commands, disk], {
    encoding: 'utf8',
    env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` },
  });
  // debugfs ends well whatever became of its commands.
  if (done.status !== 0 || !/Allocated inode/.test(done.stdout)) throw new Error(done.stdout + done.stderr);
}

const READ_BEGIN = 'user-data-begins';
const READ_END = 'user-data-ends';

/** The user-data that a guest of {@link makeReader} read, once it has said so on its console. */
export async function whatReaderRead(vm: string, withinMs: number): Promise<string> {
  const said = (): string => (existsSync(path.join(vm, 'console.log')) ? consoleOf(vm) : '');
  if (!(await eventually(() => said().includes(`\n${READ_END}\n`), withinMs)))
    throw new Error(`the guest did not say what it read within ${withinMs} ms:\n${said()}`);
  const [, text = ''] = said().split(`\n${READ_BEGIN}\n`);
  return Buffer.from(text.slice(0, text.indexOf(READ_END)), 'base64').toString('utf8');
}

/** What there is of virtual machines below a data directory: files, directories of machines, processes. */
export function leftoversIn(data: string): string[] {
  if (!existsSync(data)) return [];
  const files = readdirSync(data, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() || entry.isSocket() || /^[0-9a-f]{12}$/.test(entry.name))
    .map(entry => path.join(entry.parentPath, entry.name));
  return [...files, ...processesBelow(data)];
}

/** Processes of machines below a directory, by the mark all of them inherit. */
function processesBelow(data: string): string[] {
  return readdirSync('/proc').filter(pid => {
    try {
      return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`${MARKER}=${data}/`);
    } catch {
      return false;
    }
  });
}

/** A short directory that goes with the test, after every virtual machine in it. */
export function world(t: Test): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'ppq-'));
  t.teardown(() => {
    for (const vm of vmDirectories(directory)) {
      for (const pid of processesOf(vm)) process.kill(pid, 'SIGKILL');
    }
    // Proxies outlive their adaptors.
    for (const pid of proxiesOf(directory)) process.kill(pid, 'SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  });
  return directory;
}

/** Directories of the virtual machines that there are. */
export function vmDirectories(directory: string): string[] {
  const data = path.join(directory, 'vms');
  if (!existsSync(data)) return [];
  return readdirSync(data)
    .filter(name => name !== 'addresses')
    .flatMap(home => readdirSync(path.join(data, home)).map(id => path.join(data, home, id)));
}

export function consoleOf(vm: string): string {
  return readFileSync(path.join(vm, 'console.log'), 'utf8').replaceAll('\r', '');
}

/** The adaptor's own CA certificate, PEM. */
export function authorityOf(directory: string): string {
  return readFileSync(path.join(directory, 'pods', '.state', 'identity', 'ca.crt'), 'utf8');
}

/**
 * Dials the only virtual machine with TLS as another adaptor would, with a client certificate that nobody here knows.
 * @param ca what it trusts, PEM; left out, a CA of its own
 */
export async function dialAsStranger(directory: string, serverName: string, ca?: string): Promise<unknown> {
  const client = await selfSignedClient();
  const material = checkMaterial({
    role: 'client',
    cert: { pem: client.certPem, file: 'client.crt', flag: '-cert-file' },
    key: { pem: client.keyPem, file: 'client.key', flag: '-cert-key' },
    anchors: { pem: ca ?? (await Authority.create()).certPem, file: 'ca.crt', flag: '-ca-cert-file' },
  });
  const [host = ''] = readdirSync(path.join(directory, 'vms', 'addresses'));
  return dialUntilHealthy({
    host,
    port: 15_150,
    security: { t: 'tls', material: () => material, profile: { minVersion: 'TLSv1.3' } },
    serverName,
    signal: AbortSignal.timeout(30_000),
    deadlineMs: 30_000,
    log: pino({ level: 'silent' }),
  });
}

export interface QemuAdaptor {
  readonly program: Program;
  readonly hypervisor: ShimHypervisor['hypervisor'];
  /** CreateVM and StartVM; gives the path of the agent's socket. */
  start(id: string): Promise<string>;
}

/** An adaptor whose state lives in `directory`; a second call with the same one is the adaptor after a restart. */
export async function startAdaptor(
  t: Test,
  directory: string,
  image: string,
  ...flags: readonly string[]
): Promise<QemuAdaptor> {
  const program = new Program([
    'qemu',
    `-qemu-image=${image}`,
    '-qemu-accel=auto',
    `-socket=${path.join(directory, 'h.sock')}`,
    `-pods-dir=${path.join(directory, 'pods')}`,
    `-data-dir=${path.join(directory, 'vms')}`,
    '-status-address=127.0.0.1:0',
    '-drain-timeout=5s',
    '-proxy-timeout=3m',
    ...flags,
  ]);
  t.teardown(() => program.child.kill('SIGKILL'));
  await program.next('adaptor started');
  const { client, hypervisor } = await dialHypervisor(path.join(directory, 'h.sock'));
  t.teardown(() => client.close());
  return {
    program,
    hypervisor,
    start: async id => {
      const memory = { 'io.katacontainers.config.hypervisor.default_memory': '768' };
      const { agentSocketPath } = await hypervisor.CreateVM({
        id,
        annotations: annotations('nginx', 'default', memory),
        networkNamespacePath: '/run/netns/none',
      });
      await hypervisor.StartVM({ id });
      return agentSocketPath;
    },
  };
}

export interface Ran {
  readonly code: number;
  readonly stdout: string;
}

/** Runs a command in a new container in the guest, as a shim does, and waits for its end. */
export async function runIn(agent: ShimAgent['agent'], containerId: string, script: string): Promise<Ran> {
  await begin(agent, containerId, script);
  const { status } = await agent.WaitProcess({ containerId, execId: '' });
  let stdout = '';
  try {
    for (;;) {
      const { data } = await agent.ReadStdout({ containerId, execId: '', len: 65_536 });
      stdout += Buffer.from(data).toString();
    }
  } catch (error) {
    // The agent says with an error that there is no more.
    if (!(error instanceof Error && error.message.includes('eof'))) throw error;
  }
  return { code: status, stdout };
}

export async function begin(agent: ShimAgent['agent'], containerId: string, script: string): Promise<void> {
  await agent.CreateContainer({
    containerId,
    execId: containerId,
    OCI: {
      Process: { Args: ['/bin/sh', '-c', script], Cwd: '/', Env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin'] },
      Linux: {},
      Root: { Path: '/' },
      Mounts: [
        { destination: '/data', source: '/var/lib/kubelet/pods/1/volumes/empty', type: 'bind' },
        { destination: '/odd', source: '/srv/elsewhere', type: 'bind' },
      ],
    },
  });
  await agent.StartContainer({ containerId });
}

/** Connects as a shim and opens the sandbox. */
export async function openSandbox(socket: string): Promise<ShimAgent> {
  const shim = await dialAgent(socket);
  await shim.agent.CreateSandbox({ sandboxId: 's', hostname: 'guest' });
  return shim;
}
