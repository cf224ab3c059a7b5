// SPDX-License-Identifier: Apache-2.0
import { Authority, selfSignedClient } from '@peerpod-tls/certs';
import t from 'tap';

import { readConfigurationFile } from '../../forwarder/src/configuration-file.js';
import { decideServing } from '../src/serving.js';
import { makeWorld } from '../../forwarder/test/support/world.js';

const noFlags = {
  caCertFile: undefined,
  certFile: undefined,
  certKey: undefined,
  disableTls: false,
  allowAnyClient: false,
  clients: null,
};

t.test(
  'every combination of flags and keys serves checked clients, or says loudly that it does not, or is refused',
  async t => {
    const world = await makeWorld(t);
    const flagServer = await world.authority.issue('server', { names: ['by-flag'] });
    const flagClient = await selfSignedClient();
    const files = {
      caCertFile: world.file('ca.crt', flagClient.certPem),
      certFile: world.file('tls.crt', flagServer.certPem),
      certKey: world.file('tls.key', flagServer.keyPem),
    };
    let served = 0;
    for (let bits = 0; bits < 1 << 8; bits += 1) {
      const has = (bit: number): boolean => (bits & (1 << bit)) !== 0;
      const flags = {
        caCertFile: has(0) ? files.caCertFile : undefined,
        certFile: has(1) ? files.certFile : undefined,
        certKey: has(2) ? files.certKey : undefined,
        disableTls: has(3),
        allowAnyClient: !has(3) && has(4),
        clients: null,
      };
      world.configure({
        'tls-client-ca': has(5) ? world.client.certPem : undefined,
        'tls-server-cert': has(6) ? world.server.certPem : undefined,
        'tls-server-key': has(7) ? world.server.keyPem : undefined,
      });
      const outcome = attempt(() => decideServing(flags, readConfigurationFile(world.configFile)));
      const what = bits.toString(2).padStart(8, '0');
      if (flags.disableTls) {
        t.equal(outcome.value?.t, 'plain', what);
        t.match(outcome.value?.notes[0]?.text, /plain text served to anybody/, what);
        continue;
      }
      const anchors = has(0) || has(5);
      const fullFlags = has(1) && has(2);
      const halfFlags = has(1) !== has(2);
      const pair = fullFlags || (!halfFlags && has(6) && has(7));
      const serving = outcome.value;
      if (!pair || anchors === flags.allowAnyClient) {
        const half = halfFlags || (!fullFlags && has(6) !== has(7));
        const code = half
          ? 'ERR_TRUST_HALF_PAIR'
          : !pair
            ? 'ERR_TRUST_NO_CERTIFICATE'
            : anchors
              ? 'ERR_TRUST_CONTRADICTION'
              : 'ERR_TRUST_NO_CLIENT_ANCHOR';
        t.equal(serving, undefined, what);
        t.match(outcome.error, { code, hint: /./ }, what);
        continue;
      }
      served += 1;
      if (serving === undefined || serving.t === 'plain')
        throw new Error(`${what}: ${String(outcome.error)}`);
      t.equal(serving.t, anchors ? 'tls' : 'tls-any-client', what);
      t.equal(serving.material.anchors.length > 0, anchors, what);
      t.equal(
        serving.material.leaf.checkHost('by-flag') !== undefined,
        fullFlags,
        `${what}: flags over configuration`,
      );
      if (anchors) {
        const anchor = serving.material.anchors[0]?.fingerprint256;
        t.equal(
          anchor,
          (has(0) ? flagClient : world.client).certificate.fingerprint256,
          `${what}: flags over configuration`,
        );
      } else {
        t.match(outcome.value?.notes, [{ text: /any client served without a certificate/ }], what);
      }
    }
    t.ok(served > 0);
  },
);

t.test('what is wrong with the material is told with the file and the flag or key', async t => {
  const world = await makeWorld(t);
  const other = await Authority.create();
  const foreign = await other.issue('server', { names: ['x'] });
  const past = { lifetimeDays: 1, now: new Date(Date.now() - 10 * 86_400_000) };
  const old = await (
    await Authority.create({ lifetimeDays: 30, now: past.now })
  ).issue('server', { names: ['x'], ...past });
  const wrongPurpose = await world.authority.issue('client', {});
  const rows = [
    ['another key', { 'tls-server-key': foreign.keyPem }, /tls-server-(key|cert)/],
    [
      'expired',
      { 'tls-server-cert': old.certPem, 'tls-server-key': old.keyPem },
      /tls-server-cert|apf\.json/,
    ],
    [
      'a client certificate',
      { 'tls-server-cert': wrongPurpose.certPem, 'tls-server-key': wrongPurpose.keyPem },
      /apf\.json/,
    ],
    ['an anchor that is none', { 'tls-client-ca': 'no certificate' }, /tls-client-ca/],
    ['a truncated certificate', { 'tls-server-cert': world.server.certPem.slice(0, 300) }, /tls-server-cert/],
  ] as const;
  for (const [what, changes, named] of rows) {
    world.configure(changes);
    const { error } = attempt(() => decideServing(noFlags, readConfigurationFile(world.configFile)));
    t.match(error, { code: /^ERR_CERT_/, message: named }, what);
  }
  world.configure({ 'tls-min-version': 'VersionTLS11' });
  t.match(attempt(() => decideServing(noFlags, readConfigurationFile(world.configFile))).error, {
    message: /tls-min-version in .*apf\.json/,
  });
});

t.test('a key that others may read is served and spoken of', async t => {
  const world = await makeWorld(t);
  const certFile = world.file('tls.crt', world.server.certPem);
  const certKey = world.file('tls.key', world.server.keyPem, 0o644);
  const { notes } = decideServing({ ...noFlags, certFile, certKey }, readConfigurationFile(world.configFile));
  t.match(notes, [{ text: 'private key readable by others', fields: { file: certKey, mode: '0644' } }]);
});

t.test('the profile of the configuration is served', async t => {
  const world = await makeWorld(t);
  t.match(decideServing(noFlags, readConfigurationFile(world.configFile)), {
    profile: { minVersion: 'TLSv1.3' },
  });
  world.configure({
    'tls-min-version': 'VersionTLS12',
    'tls-cipher-suites': ['TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256'],
  });
  t.match(decideServing(noFlags, readConfigurationFile(world.configFile)), {
    profile: { minVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' },
  });
  world.configure({
    'tls-min-version': 'VersionTLS12',
    'tls-cipher-suites': ['TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256'],
  });
  t.match(attempt(() => decideServing(noFlags, readConfigurationFile(world.configFile))).error, {
    message: /tls-cipher-suites in /,
  });
});

function attempt<T>(action: () => T): { value?: T; error?: unknown } {
  try {
    return { value: action() };
  } catch (error) {
    return { error };
  }
}
