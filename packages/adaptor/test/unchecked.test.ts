// SPDX-License-Identifier: Apache-2.0
// Nothing short of -disable-tls makes the adaptor hand a pod to a VM it has not checked: every mode against every
// impostor, over real sockets.
import path from 'node:path';
import t from 'tap';
import {
  Authority,
  checkMaterial,
  parseTlsProfile,
  selfSignedClient,
  type TlsMaterial,
} from '@peerpod-tls/certs';
import type { ListenSecurity } from '@peerpod-tls/link';
import { annotations, PORT, startRig, status, temporary } from './kit/adaptor.js';
import { flagsOf, imageOf, manualSet } from '../../trust/test/kit/certificates.js';
import { TestProvider } from './kit/provider.js';

const profile = parseTlsProfile({}, { minVersion: '', cipherSuites: '' });
const tls = (material: TlsMaterial, anyClient = true): ListenSecurity => ({
  t: anyClient ? 'tls-any-client' : 'tls',
  material: () => material,
  profile,
});

t.test('an impostor VM fails the start and never hears a call, whatever the TLS mode', async t => {
  const stranger = await Authority.create({ subject: { O: 'agent-protocol-forwarder' } });
  const manual = await manualSet(temporary(t));
  const clientLeaf = await stranger.issue('client', { names: ['podvm-server'] });
  const own = await selfSignedClient({});
  const asServer = (certPem: string, keyPem: string): TlsMaterial =>
    checkMaterial({
      role: 'client',
      cert: { pem: certPem, file: 'x', flag: 'x' },
      key: { pem: keyPem, file: 'x', flag: 'x' },
      anchors: { pem: certPem, file: 'x', flag: 'x' },
    });
  const impostors: Record<string, ListenSecurity> = {
    'another CA of the same name, the expected name': tls(await imageOf(stranger, 'podvm-nginx-impostor')),
    'another CA, the manual name': tls(await imageOf(stranger)),
    'a client certificate': tls(asServer(clientLeaf.certPem, clientLeaf.keyPem)),
    'a self-signed certificate': tls(asServer(own.certPem, own.keyPem)),
    'no TLS at all': { t: 'plain' },
  };
  const modes: Record<string, { flags: string[]; more: Record<string, ListenSecurity> }> = {
    automatic: { flags: [], more: {} },
    manual: {
      flags: flagsOf(manual.files),
      more: { 'the right CA, another name': tls(await imageOf(manual.authority, 'podvm-other')) },
    },
  };
  for (const [mode, { flags, more }] of Object.entries(modes)) {
    const provider = new TestProvider(PORT);
    const rig = await startRig(t, { provider, flags: [...flags, '-proxy-timeout=1s'] });
    for (const [what, impostor] of Object.entries({ ...impostors, ...more })) {
      await t.test(`${mode} mode against ${what}`, async t => {
        const id = `impostor${provider.specs.length}`;
        provider.vmOptions = { impostor };
        await rig.hypervisor.CreateVM({ id, annotations: annotations(), networkNamespacePath: '' });
        // A peer that hangs up may be one that is still booting; a certificate that is wrong will not get better.
        const wanted =
          what === 'no TLS at all'
            ? { code: 'ERR_TTRPC_STATUS', message: /TLS/ }
            : status(16, /^(?!.*within 1000 ms)/s);
        await t.rejects(rig.hypervisor.StartVM({ id }), wanted);
        t.equal(provider.vms.size, 0, 'and its VM is deleted');
      });
    }
    const heard = provider.heard;
    t.strictSame(heard, [], `${mode}: no impostor heard a call`);
    const metrics = await (await fetch(`http://${rig.adaptor.statusAddress}/metrics`)).text();
    t.match(metrics, /peerpod_refusals_total\{rule="unknown-issuer"\} [2-4]/);
    await rig.close();
  }
});

t.test("a VM that refuses the adaptor's certificate fails the start, in TLS 1.3 too", async t => {
  const stranger = await Authority.create({});
  const manual = await manualSet(temporary(t));
  const provider = new TestProvider(PORT);
  provider.vmOptions = { image: await imageOf(manual.authority, 'podvm-server', stranger.certPem) };
  const rig = await startRig(t, { provider, flags: flagsOf(manual.files) });
  await rig.hypervisor.CreateVM({ id: 'picky', annotations: annotations(), networkNamespacePath: '' });
  await t.rejects(rig.hypervisor.StartVM({ id: 'picky' }), status(16, /refused/));
  t.strictSame(provider.heard, []);
});

t.test('the loud flag, and only it, talks to a VM without TLS', async t => {
  const rig = await startRig(t, { flags: ['-disable-tls'] });
  await rig.hypervisor.CreateVM({ id: 'plain', annotations: annotations(), networkNamespacePath: '' });
  await rig.hypervisor.StartVM({ id: 'plain' });
  t.strictSame(rig.provider.heard, ['Check']);
  t.notMatch(rig.provider.specs[0]?.userData, /tls|BEGIN/);
  t.match(rig.options.warnings, [/NOT encrypted/]);
  t.equal(path.basename(rig.options.stateDir), '.state');
});

t.test(
  'manual mode reaches a VM whose image carries its own pair, and the user-data carries no key',
  async t => {
    const manual = await manualSet(temporary(t));
    const provider = new TestProvider(PORT);
    provider.vmOptions = { image: manual.image };
    const rig = await startRig(t, { provider, flags: flagsOf(manual.files) });
    await rig.hypervisor.CreateVM({ id: 'manual', annotations: annotations(), networkNamespacePath: '' });
    await rig.hypervisor.StartVM({ id: 'manual' });
    const userData = provider.specs[0]?.userData ?? '';
    t.match(userData, /"tls-min-version": "VersionTLS13"/);
    t.notMatch(userData, /tls-server-key|tls-server-cert|tls-client-ca|BEGIN/);
  },
);
