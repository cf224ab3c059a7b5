// SPDX-License-Identifier: Apache-2.0
// Certificates that users replace while the adaptor runs.
import { renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { Authority } from '@peerpod-tls/certs';
import { clientFiles } from '../src/client-files.js';
import { LiveMaterial, type MaterialSource } from '../src/live-material.js';
import { captureLog, temporary } from '../../../test/kit/log.js';
import { manualSet, writeManual, type ManualFiles } from './kit/certificates.js';

const PROFILE = { profile: { minVersion: 'TLSv1.3' }, minVersion: 'VersionTLS13', cipherSuites: [] } as const;

const sourceOf = ({ ca, cert, key }: ManualFiles): MaterialSource =>
  clientFiles({ caFile: ca, certFile: cert, keyFile: key }, PROFILE);

const leafOf = (live: LiveMaterial): string => live.current.material.leaf.fingerprint256;

async function accept(): Promise<void> {}

t.test('replaced files are taken when they fit together, and only then', async t => {
  const directory = temporary(t);
  const first = await manualSet(directory);
  const log = captureLog();
  const reloads: boolean[] = [];
  const live = await LiveMaterial.open({
    source: sourceOf(first.files),
    prove: accept,
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
  'what does not prove itself never comes into force, and is tried again while it lies there',
  async t => {
    const directory = temporary(t);
    const first = await manualSet(directory);
    const log = captureLog();
    const reloads: boolean[] = [];
    let refusal: Error | null = null;
    const live = await LiveMaterial.open({
      source: sourceOf(first.files),
      prove: async () => {
        if (refusal !== null) throw refusal;
      },
      log: log.log,
      onReload: ok => reloads.push(ok),
    });
    const old = live.current;
    const next = await first.authority.issue('client', {});
    writeManual(directory, first.ca, next.certPem, next.keyPem);
    refusal = new Error('OpenSSL will not have it');
    await t.rejects(live.reload(), {
      code: 'ERR_TRUST_NOT_RELOADED',
      message: /certificates in force stay, with 729 days left: OpenSSL will not have it/,
    });
    t.equal(live.current, old);
    t.match(live.trouble, { reason: /OpenSSL/, at: Date });
    await live.check();
    t.equal(live.current, old);
    t.strictSame(reloads, [false], 'tried again in silence');
    refusal = null;
    await live.check();
    t.equal(leafOf(live), next.certificate.fingerprint256);
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
  const live = await LiveMaterial.open({ source, prove: accept, log: log.log, settleMs: 20 });
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
    prove: accept,
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
