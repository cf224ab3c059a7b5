// SPDX-License-Identifier: Apache-2.0
// The real adaptor between two ends in Go: kata's own shim code above it, from the hypervisor and agent clients alone to
// its whole sandbox, and below it a pod VM built from the TLS, ttrpc, YAML and JSON that upstream's forwarder is built
// from. Needs Go and its module proxy; skips where they are absent.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { selfSignedClient } from '@peerpod-tls/certs';
import { renderApf } from '@peerpod-tls/user-data';
import t from 'tap';
import { processesOf } from '../../../providers/src/host/vm-processes.js';
import { flagsOf, manualSet } from '../../../trust/test/kit/certificates.js';
import { ownProcesses } from '../../../../test/kit/directory.js';
import { freePort } from '../../../../test/kit/free-port.js';
import { localFlags, Program } from '../kit/program.js';
import {
  buildPeers,
  cgroupsOf,
  makePeerWorld,
  ran,
  runPod,
  runSandbox,
  whyNoSandbox,
  type PeerWorld,
} from './go-peers.js';

// A cold build of kata's shim code is two minutes of CPU.
t.setTimeout(300_000);
const directory = mkdtempSync(path.join(tmpdir(), 'go-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));
const built = await buildPeers(directory);
const skip = 'reason' in built && built.reason;
const peers = 'reason' in built ? { forwarder: '', shim: '' } : built;

const SCRIPT = 'echo hello from $(hostname >/dev/null && echo the pod); exit 7';
const WENT_WELL = {
  serving: true,
  agent: /\d/,
  output: 'hello from the pod\n',
  exitCode: 7,
  oomBlocks: true,
  stopped: true,
  step: '',
  failure: '',
};

async function start(t: Parameters<typeof makePeerWorld>[0], argv: readonly string[]): Promise<Program> {
  const adaptor = new Program(argv);
  t.teardown(() => adaptor.kill('SIGKILL'));
  await adaptor.next('adaptor started');
  return adaptor;
}

const leftIn = (world: PeerWorld): string[] => readdirSync(world.machines);

t.test("kata's shim code runs a pod on our adaptor and our pod VM", { skip }, async t => {
  const home = mkdtempSync(path.join(tmpdir(), 'kl-'));
  t.teardown(() => rmSync(home, { recursive: true, force: true }));
  ownProcesses(t, home);
  const adaptor = await start(t, [...localFlags(home), `-forwarder-port=${await freePort()}`]);
  t.match(await runPod(peers, path.join(home, 'h.sock'), 'ours', SCRIPT), WENT_WELL);
  t.match(await adaptor.next('link verified'), { protocol: 'TLSv1.3', names: ['podvm-ours-kata-our'] });
  t.equal((await adaptor.kill('SIGTERM')).code, 0);
});

t.test('and on our adaptor and a pod VM in Go, which reads our user-data', { skip }, async t => {
  const world = await makePeerWorld(t, peers, await freePort());
  const adaptor = await start(t, world.adaptor());
  t.match(await runPod(peers, world.socket, 'go', SCRIPT), WENT_WELL);
  t.match(await adaptor.next('link verified'), { protocol: 'TLSv1.3', names: ['podvm-go-kata-go'] });
  t.same(leftIn(world), []);
});

t.test('with a TLS profile, which the VM reads out of the user-data', { skip }, async t => {
  const world = await makePeerWorld(t, peers, await freePort());
  const suites = 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384';
  const profile = ['-tls-min-version=VersionTLS12', `-tls-cipher-suites=${suites}`];
  const adaptor = await start(t, world.adaptor([], profile));
  t.match(await runPod(peers, world.socket, 'profile', SCRIPT), WENT_WELL);
  t.match(await adaptor.next('link verified'), {
    protocol: 'TLSv1.2',
    cipher: 'ECDHE-ECDSA-AES256-GCM-SHA384',
  });
});

t.test('with certificates brought by hand, and without TLS', { skip }, async t => {
  const manual = await makePeerWorld(t, peers, await freePort());
  const { files, authority } = await manualSet(manual.directory);
  const server = await authority.issue('server', { names: ['podvm-server'] });
  const image = { cert: path.join(manual.directory, 'tls.crt'), key: path.join(manual.directory, 'tls.key') };
  writeFileSync(image.cert, server.certPem);
  writeFileSync(image.key, server.keyPem, { mode: 0o600 });
  const ofImage = ['-ca-cert-file', files.ca, '-cert-file', image.cert, '-cert-key', image.key];
  const byHand = await start(t, manual.adaptor(ofImage, flagsOf(files)));
  t.match(await runPod(peers, manual.socket, 'manual', SCRIPT), WENT_WELL);
  t.match(await byHand.next('link verified'), { protocol: 'TLSv1.3', names: ['podvm-server'] });

  const plain = await makePeerWorld(t, peers, await freePort());
  const withoutTls = await start(t, plain.adaptor(['-disable-tls'], ['-disable-tls']));
  const ran = await runPod(peers, plain.socket, 'plain', SCRIPT);
  t.match(ran, WENT_WELL, { adaptor: withoutTls.output.slice(-4_000) });
});

t.test(
  "a VM in Go that trusts another adaptor's client: StartVM says so, and nothing stays",
  { skip },
  async t => {
    const world = await makePeerWorld(t, peers, await freePort());
    const stranger = path.join(world.directory, 'stranger.crt');
    writeFileSync(stranger, (await selfSignedClient()).certPem);
    const adaptor = await start(t, world.adaptor(['-ca-cert-file', stranger]));
    const before = Date.now();
    const outcome = await runPod(peers, world.socket, 'refused', SCRIPT);
    t.match(outcome, { step: 'StartVM', serving: false, failure: /refused our certificate|bad certificate/ });
    t.ok(Date.now() - before < 15_000, 'a refusal is not tried again until the time is up');
    t.match(await adaptor.next('sandbox not started'), { sandbox: 'kata-refused' });
    t.same(leftIn(world), []);
  },
);

const noSandbox = typeof skip === 'string' ? skip : await whyNoSandbox(peers);

t.test(
  "kata's sandbox code runs a pod on our adaptor from its start to its end, and hears of a VM that is lost",
  { skip: noSandbox === '' ? false : noSandbox },
  async t => {
    const home = mkdtempSync(path.join(tmpdir(), 'ks-'));
    t.teardown(() => rmSync(home, { recursive: true, force: true }));
    ownProcesses(t, home);
    const adaptor = await start(t, [...localFlags(home), `-forwarder-port=${await freePort()}`]);
    const whole = `ppt-${process.pid}-whole`;
    const lost = `ppt-${process.pid}-lost`;
    const failed = `ppt-${process.pid}-failed`;
    const vms = (): string[] =>
      readdirSync(path.join(home, 'vms'), { recursive: true, encoding: 'utf8' })
        .filter(name => /^[0-9a-f]{8}\/[0-9a-f]{12}$/.test(name))
        .map(name => path.join(home, 'vms', name));

    await t.test('the whole life of one', async t => {
      const script = 'read line; echo got $line; echo oops >&2; exit 5';
      const outcome = await runSandbox(peers, home, ['sandbox', whole, script]);
      t.match(outcome, {
        failure: '',
        worked: { output: 'got from the worker\n', errors: 'oops\n', code: 5 },
        entered: { output: 'inside\n', errors: '', code: 9 },
        signalled: 128 + 15,
        killed: 128 + 9,
        processes: 1,
        interfaces: Number,
        metrics: true,
      });
      t.same(outcome.states, ['paused', 'running']);
      t.same(outcome.left, [], "nothing is left of kata's record of it");
      t.match(await adaptor.next('sandbox stopped'), { sandbox: whole });
      t.same(vms(), [], 'its VM is gone');
    });

    await t.test('one whose own container cannot be started', async t => {
      const outcome = await runSandbox(peers, home, ['fail', failed]);
      t.match(outcome.waiting, /cannot run .*no.such.entrypoint/, 'kata is told why');
      t.equal(outcome.failure, '', 'and ends it without a complaint');
      t.same(outcome.left, []);
      t.same(vms(), [], 'its VM is gone');
    });

    await t.test('one that loses its VM', async t => {
      const outcome = await runSandbox(peers, home, ['lose', lost], () => {
        for (const pid of vms().flatMap(vm => processesOf(vm))) process.kill(pid, 'SIGKILL');
      });
      t.equal(outcome.failure, '', 'kata ends it without a complaint');
      t.same(outcome.left, []);
      t.match(outcome.waiting, /./, 'the call that waited for its end is answered');
      t.match(outcome.watcher, /failed to ping agent/, 'and the watcher says why');
      t.same(vms(), [], 'nothing of its VM is left');
    });
    t.equal((await adaptor.kill('SIGTERM')).code, 0);
    t.equal(await cgroupsOf(`ppt-${process.pid}`), '');
  },
);

/** Why there can be no tunnel here: a namespace is made and one is tried. */
async function whyNoTunnel(): Promise<string> {
  if (typeof skip === 'string') return skip;
  if (process.geteuid?.() !== 0) return 'making network namespaces needs root';
  const name = `ppt-${process.pid}-try`;
  try {
    await ran('ip', 'netns', 'add', name);
    await ran('ip', '-n', name, 'link', 'add', 'vx', 'type', 'vxlan', 'id', '1', 'dstport', '4789');
    return '';
  } catch (error) {
    return `no network namespace with a VXLAN device can be made: ${String(error)}`;
  } finally {
    await ran('ip', 'netns', 'del', name).catch(() => undefined);
  }
}
const why = await whyNoTunnel();

t.test(
  'the tunnel of user-data without one can be made, and nothing leaves the VM through it',
  { skip: why === '' ? false : why },
  async t => {
    const names = ['vm', 'pod', 'out'].map(name => `ppt-${process.pid}-${name}`);
    const [vm = '', pod = '', out = ''] = names;
    t.teardown(async () => {
      for (const name of names) await ran('ip', 'netns', 'del', name);
    });
    for (const name of names) await ran('ip', 'netns', 'add', name);
    // The VM's own interface, with a way out: what leaves is counted there. Its own IPv6 chatter is no part of it.
    await ran('ip', '-n', vm, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'far', 'netns', out);
    await ran('ip', '-n', vm, 'link', 'set', 'eth0', 'addrgenmode', 'none');
    await ran('ip', '-n', out, 'link', 'set', 'far', 'up');
    await ran('ip', '-n', vm, 'addr', 'add', '10.213.0.2/24', 'dev', 'eth0');
    for (const device of ['lo', 'eth0']) await ran('ip', '-n', vm, 'link', 'set', device, 'up');
    await ran('ip', '-n', vm, 'route', 'add', 'default', 'via', '10.213.0.1');
    const config = path.join(directory, 'apf.json');
    writeFileSync(config, renderApf({ podNetwork: null, podNamespace: 'default', podName: 'pod' }));
    const made = await ran('ip', 'netns', 'exec', vm, peers.forwarder, 'network', config, pod, 'eth0');
    t.match(JSON.parse(made), {
      mtu: 1450,
      up: true,
      address: '192.0.2.1/32',
      routes: 0,
      reachable: false,
      tunnelled: Number,
      left: 0,
    });
    t.ok(
      JSON.parse(made).tunnelled > 0,
      'something was sent into the tunnel, so there was something to leave',
    );
  },
);
