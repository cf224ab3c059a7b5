// SPDX-License-Identifier: Apache-2.0
// Certificates that users replace while the adaptor runs.
import { renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { Authority, checkMaterial, readPem } from '@peerpod-tls/certs';
import { clientFiles } from '../src/client-files.js';
import type { MaterialSource } from '../src/in-force.js';
import { LiveMaterial } from '../src/live-material.js';
import { captureLog, temporary } from '../../../test/kit/log.js';
import { manualSet, writeManual, type ManualFiles } from './kit/certificates.js';

const PROFILE = { profile: { minVersion: 'TLSv1.3' }, minVersion: 'VersionTLS13', cipherSuites: [] } as const;

const sourceOf = ({ ca, cert, key }: ManualFiles): MaterialSource =>
  clientFiles({ caFile: ca, certFile: cert, keyFile: key }, PROFILE);

const leafOf = (live: LiveMaterial): string => live.current.material.leaf.fingerprint256;

t.test('replaced files are taken when they fit together, and only then', async t => {
  const directory = temporary(t);
  const first = await manualSet(directory);
  const log = captureLog();
  const reloads: boolean[] = [];
  const live = await LiveMaterial.open({
    source: sourceOf(first.files),
    log: log.log,
    onReload: ok => reloads.push(ok),
  });
  const old = live.current;
  await live.check();
  t.equal(live.current, old, 'unchanged files are not read again');

  const next = await first.authority.issue('client', {});
  writeFileSync(first.files.cert, next.certPem);
  await live.check();
  t.equal(live.current, old, 'a certificate without its key');
  t.match(await log.next('certificates not reloaded, the old ones stay in force'), {
    level: 'error',
    reason: /client\.key/,
    currentDays: 729,
  });
  await live.check();
  t.strictSame(reloads, [false], 'the same bad files are complained about once');
  writeFileSync(first.files.key, next.keyPem);
  await live.check();
  t.equal(leafOf(live), next.certificate.fingerprint256);

  rmSync(first.files.ca);
  await live.check();
  t.equal(leafOf(live), next.certificate.fingerprint256);
  await t.rejects(live.reload(), { message: /ca\.crt.*-ca-cert-file/ });
  writeFileSync(first.files.ca, first.ca);
  await live.reload();
  t.strictSame(reloads, [false, true, false, false, true]);
  t.notMatch(log.text(), /PRIVATE|BEGIN/);
  await live.close();
});

t.test(
  'what OpenSSL will not have never comes into force, and is tried again while it lies there',
  async t => {
    const directory = temporary(t);
    const authority = await Authority.create();
    const issued = await authority.issue('server', { names: ['podvm-server'] });
    const file = path.join(directory, 'tls.crt');
    writeFileSync(file, issued.certPem);
    let ciphers = 'ECDHE-ECDSA-AES128-GCM-SHA256';
    const source: MaterialSource = {
      files: [file],
      read: () => ({
        material: checkMaterial({
          role: 'server',
          cert: readPem(file, '-cert-file'),
          key: { pem: issued.keyPem, file: 'tls.key', flag: '-cert-key' },
          anchors: { pem: authority.certPem, file: 'ca.crt', flag: '-ca-cert-file' },
        }),
        profile: { minVersion: 'TLSv1.2', ciphers },
        notes: [],
      }),
    };
    const log = captureLog();
    const reloads: boolean[] = [];
    const live = await LiveMaterial.open({ source, log: log.log, onReload: ok => reloads.push(ok) });
    const old = live.current;
    // Suites that the key cannot serve: every check of ours passes, and every handshake of TLS 1.2 would fail.
    ciphers = 'ECDHE-RSA-AES128-GCM-SHA256';
    await t.rejects(live.reload(), {
      code: 'ERR_TRUST_NOT_RELOADED',
      message:
        /certificates in force stay, with 729 days left: no link could be made with .*tls\.crt \(-cert-file\)/,
      cause: { code: 'ERR_LINK_OWN_MATERIAL' },
    });
    t.equal(live.current, old);
    t.match(live.trouble, { reason: /tls\.crt/, at: Date });
    await live.check();
    t.equal(live.current, old);
    t.strictSame(reloads, [false], 'tried again in silence');
    await t.rejects(
      LiveMaterial.open({ source, log: log.log }),
      { code: 'ERR_LINK_OWN_MATERIAL' },
      'nor at start',
    );
    ciphers = 'ECDHE-ECDSA-AES128-GCM-SHA256';
    await live.check();
    t.not(live.current, old);
    t.equal(live.trouble, null);
    t.strictSame(reloads, [false, true]);
    await live.close();
  },
);

t.test('a rotation by one link, as Kubernetes does it, is noticed without being asked', async t => {
  const directory = temporary(t);
  const authority = await Authority.create({});
  const put = async (name: string): Promise<string> => {
    const leaf = await authority.issue('client', {});
    mkdirSync(path.join(directory, name));
    writeManual(path.join(directory, name), authority.certPem, leaf.certPem, leaf.keyPem);
    return leaf.certificate.fingerprint256;
  };
  await put('..one');
  symlinkSync('..one', path.join(directory, '..data'));
  for (const name of ['ca.crt', 'client.crt', 'client.key'])
    symlinkSync(`..data/${name}`, path.join(directory, name));
  const log = captureLog();
  const source = sourceOf({
    ca: path.join(directory, 'ca.crt'),
    cert: path.join(directory, 'client.crt'),
    key: path.join(directory, 'client.key'),
  });
  const live = await LiveMaterial.open({ source, log: log.log, settleMs: 20 });
  live.watch();
  const two = await put('..two');
  symlinkSync('..two', path.join(directory, '..tmp'));
  renameSync(path.join(directory, '..tmp'), path.join(directory, '..data'));
  await log.next('certificates reloaded');
  t.equal(leafOf(live), two);
  await live.close();
});

t.test('without any event the files are compared from time to time', async t => {
  const directory = temporary(t);
  const first = await manualSet(directory);
  const log = captureLog();
  // The links are watched, their targets in another directory are not.
  const seen = temporary(t);
  for (const name of ['ca.crt', 'client.crt', 'client.key'])
    symlinkSync(path.join(directory, name), path.join(seen, name));
  const at = (name: string): string => path.join(seen, name);
  const live = await LiveMaterial.open({
    source: sourceOf({ ca: at('ca.crt'), cert: at('client.crt'), key: at('client.key') }),
    log: log.log,
    pollMs: 20,
  });
  live.watch();
  const next = await first.authority.issue('client', {});
  writeManual(directory, first.ca, next.certPem, next.keyPem);
  await log.next('certificates reloaded');
  t.equal(leafOf(live), next.certificate.fingerprint256);
  await live.close();
  unlinkSync(at('ca.crt'));
});
