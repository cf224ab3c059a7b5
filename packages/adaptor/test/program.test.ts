// SPDX-License-Identifier: Apache-2.0
// The program itself: its grammar, its exit codes, its signals, and a SIGKILL that no pod notices.
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import t, { type Test } from 'tap';
import { hypervisorService, podVmInfoService } from '@peerpod-tls/agent-protocol';
import { clientOf, connectUnix, type TypedClient } from '@peerpod-tls/ttrpc';
import { main } from '../src/main.js';
import { annotations, dialAgent, eventually, temporary } from './kit/adaptor.js';
import { flagsOf, manualSet } from '../../trust/test/kit/certificates.js';
import { localFlags, Program, run, type Finished } from './kit/program.js';

const HELP = /Usage: cloud-api-adaptor <provider-name> \[options\] \| help \| version\n\n.*\n\tlocal/;

/** Runs the program's main here: a process for each row would only take longer. */
async function call(argv: readonly string[]): Promise<Finished> {
  const streams = { stdout: new PassThrough(), stderr: new PassThrough() };
  const code = await main({ argv, env: {}, ...streams });
  return { code, stdout: String(streams.stdout.read() ?? ''), stderr: String(streams.stderr.read() ?? '') };
}

t.test('the word after the program decides: help, version, a provider, or what is wrong', async t => {
  const rows: readonly [readonly string[], number, RegExp | '', RegExp | ''][] = [
    [[], 1, '', HELP],
    [['help'], 0, HELP, ''],
    [
      ['version'],
      0,
      /^cloud-api-adaptor version \S+\n {2}commit: \S+\n {2}node: v20|^cloud-api-adaptor version/,
      '',
    ],
    [[''], 1, '', /^cloud-api-adaptor: Unknown option: ""\n\nUsage/],
    [['-version'], 0, /^cloud-api-adaptor version/, ''],
    [['-V'], 0, /^cloud-api-adaptor version/, ''],
    [['local', '--version'], 0, /^cloud-api-adaptor version/, ''],
    [['--help'], 0, HELP, ''],
    [['-socket=/x'], 1, '', /^cloud-api-adaptor: Unknown option: "-socket=\/x"\n\nUsage/],
    [['nowhere'], 1, '', /^cloud-api-adaptor: Unsupported cloud provider: nowhere\n\nUsage/],
    [['now\u001b[2Jhere'], 1, '', /provider: now\?\[2Jhere/],
    [['local', '-h'], 0, /^Usage: cloud-api-adaptor local[^]*provider "local"[^]*-data-dir/, ''],
    [['local', '-sokcet', 'x'], 1, '', /^cloud-api-adaptor: -sokcet is not a flag[^]*did you mean -socket/],
    [
      ['local', '-cert-file', 'x'],
      1,
      '',
      /^cloud-api-adaptor: -cert-file \(CERT_FILE\) without[^]*\n {2}add -ca-cert-file/,
    ],
    [
      ['local', '-tls-skip-verify'],
      1,
      '',
      /-tls-skip-verify \(TLS_SKIP_VERIFY\)[^]*refused\n {2}leave it out/,
    ],
  ];
  const results = await Promise.all(rows.map(([argv]) => call(argv)));
  const program = await run(['nowhere']);
  t.match(
    program,
    { code: 1, stdout: '', stderr: results[rows.findIndex(([argv]) => argv[0] === 'nowhere')]?.stderr },
    'as a process, too',
  );
  for (const [at, [argv, code, stdout, stderr]] of rows.entries()) {
    const name = JSON.stringify(argv);
    t.equal(results[at]?.code, code, name);
    t.match(results[at]?.stdout, stdout === '' ? /^$/ : stdout, `${name} stdout`);
    t.match(results[at]?.stderr, stderr === '' ? /^$/ : stderr, `${name} stderr`);
  }
});

interface Started {
  readonly program: Program;
  readonly directory: string;
  readonly hypervisor: TypedClient<typeof hypervisorService>;
}

async function started(t: Test, directory: string, flags: readonly string[] = []): Promise<Started> {
  const program = new Program([...localFlags(directory), ...flags]);
  t.teardown(() => program.child.kill('SIGKILL'));
  await program.next('adaptor started');
  const client = await connectUnix(path.join(directory, 'h.sock'));
  return { program, directory, hypervisor: clientOf(hypervisorService, client) };
}

t.test(
  'a SIGKILL and a new start leave a pod its connection, and one half-made is made anew; StopVM leaves nothing',
  async t => {
    const directory = temporary(t);
    const first = await started(t, directory);
    const { agentSocketPath } = await first.hypervisor.CreateVM({
      id: 'survivor',
      annotations: annotations(),
      networkNamespacePath: '',
    });
    await first.hypervisor.StartVM({ id: 'survivor' });
    const before = await dialAgent(agentSocketPath);
    t.match(await before.health.Check({}), { status: 1 });
    const whole = vmProcesses(directory).length;
    await first.hypervisor.CreateVM({ id: 'halfway', annotations: annotations(), networkNamespacePath: '' });
    const start = first.hypervisor.StartVM({ id: 'halfway' });
    start.catch(() => undefined);
    t.ok(await eventually(() => vmProcesses(directory).length > whole), 'another VM is on its way');
    const ended = await first.program.kill('SIGKILL');
    t.equal(ended.code, null);
    t.match(await before.health.Check({}), { status: 1 }, 'without any adaptor');

    const second = await started(t, directory);
    t.match(await before.health.Check({}), { status: 1 });
    t.match(await second.program.next('instance deleted'), { sandbox: 'halfway', pod: 'default/nginx' });
    await t.resolves(start, 'its one StartVM is answered by the second adaptor');
    t.equal(vmProcesses(directory).length, 2 * whole, 'no process of the first try is left');
    await second.hypervisor.StopVM({ id: 'halfway' });
    before.client.close();
    const info = clientOf(podVmInfoService, await connectUnix(path.join(directory, 'h.sock')));
    const created = first.program.lines().find(line => line.msg === 'instance created');
    t.match(await info.GetInfo({ PodName: 'nginx', PodNamespace: 'default' }), {
      VMID: created?.['instance'],
    });
    t.strictSame(
      second.program.lines().find(line => line.msg === 'identity ready')?.['authority'],
      first.program.lines().find(line => line.msg === 'identity ready')?.['authority'],
      'the same CA',
    );

    // Everything that was written while a pod ran: no key of a VM, and nothing for others to read.
    const files = filesBelow(path.join(directory, 'pods'));
    const keys = files
      .filter(file => readFileSync(file, 'utf8').includes('PRIVATE KEY'))
      .map(file => path.basename(file));
    t.strictSame(keys.toSorted(), ['ca.key', 'client.key', 'material.json']);
    t.notMatch(first.program.output + second.program.output, /PRIVATE KEY|BEGIN CERT/);

    await second.hypervisor.StopVM({ id: 'survivor' });
    t.strictSame(readdirSync(path.join(directory, 'pods')), ['.state']);
    t.strictSame(
      filesBelow(path.join(directory, 'vms')).filter(
        file => file.includes('survivor') || file.endsWith('.json'),
      ),
      [],
    );
    const { code } = await second.program.kill('SIGTERM');
    t.equal(code, 0);
  },
);

/** Regular files below a directory; modes are checked on the way. */
function filesBelow(directory: string): string[] {
  const found: string[] = [];
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const full = path.join(directory, entry.name);
    if (entry.isSymbolicLink()) continue;
    const { mode } = statSync(full);
    if ((mode & 0o077) !== 0) throw new Error(`${full} has mode ${(mode & 0o777).toString(8)}`);
    if (entry.isDirectory()) found.push(...filesBelow(full));
    else if (entry.isFile()) found.push(full);
  }
  return found;
}

/** Processes whose command line speaks of the local provider's directory, save the adaptor. */
function vmProcesses(directory: string): string[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(pid => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      } catch {
        return '';
      }
    })
    .filter(line => line.includes(`${directory}/vms`) && !line.includes('cloud-api-adaptor'));
}

t.test('SIGHUP reads the certificates again; bad ones are reported and the old stay in force', async t => {
  const directory = temporary(t);
  const manual = await manualSet(temporary(t));
  const { program } = await started(t, directory, flagsOf(manual.files));
  program.child.kill('SIGHUP');
  t.match(JSON.stringify(await program.next('certificates reloaded')), /CN=podvm_client/);
  rmSync(manual.files.key);
  program.child.kill('SIGHUP');
  t.match(await program.next('reload failed, old state kept'), {
    level: 'error',
    err: { message: /client\.key/ },
  });
  const { code } = await program.kill('SIGTERM');
  t.equal(code, 0);
});

t.test('a start that fails says so in two lines, exits 1 and leaves no socket', async t => {
  const directory = temporary(t);
  const first = await started(t, directory);
  const second = await run([...localFlags(directory), '-takeover-timeout=0s']);
  t.equal(second.code, 1);
  t.match(
    second.stderr,
    /^cloud-api-adaptor: another adaptor is using the state directory .*\n[^]*-state-dir/m,
  );
  t.match(await first.hypervisor.Version({}), { version: '0.0.0' });
  const busy = await run([
    ...localFlags(temporary(t)),
    `-status-address=${String((await first.program.next('adaptor started'))['status'])}`,
  ]);
  t.equal(busy.code, 1);
  t.match(busy.stderr, /cannot serve the status on 127\.0\.0\.1:\d+/);
});

t.test('warnings and the version block come on stdout before anything starts', async t => {
  const directory = temporary(t);
  const { program } = await started(t, directory, ['-disable-tls']);
  const { stdout } = await program.kill('SIGINT');
  t.match(
    stdout,
    /^cloud-api-adaptor version [^]*\ncloud-api-adaptor: starting Cloud API Adaptor daemon for "local"\ncloud-api-adaptor: WARNING: --disable-tls: /,
  );
});
