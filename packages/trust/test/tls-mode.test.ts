// SPDX-License-Identifier: Apache-2.0
// The option space of TLS, all of it: which combinations mean which mode, and that every other is refused in words.
import t from 'tap';
import { chooseTlsMode, tlsWarnings, type TlsMode, type TlsOptions } from '../src/tls-mode.js';

const nothing: TlsOptions = {
  caCertFile: '',
  certFile: '',
  certKey: '',
  disableTls: false,
  tlsSkipVerify: false,
  tlsMinVersion: '',
  tlsCipherSuites: [],
  keyAlgorithm: 'ecdsa-p256',
};
const SUITE = 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256';

function* combinations(): Generator<TlsOptions> {
  for (const caCertFile of ['', 'ca.crt'])
    for (const certFile of ['', 'client.crt'])
      for (const certKey of ['', 'client.key'])
        for (const disableTls of [false, true])
          for (const tlsSkipVerify of [false, true])
            for (const tlsMinVersion of ['', ' ', 'VersionTLS12', 'VersionTLS13', 'VersionTLS11', 'x'])
              for (const tlsCipherSuites of [[], [SUITE], ['TLS_RSA_WITH_RC4_128_SHA']])
                for (const keyAlgorithm of ['ecdsa-p256', 'ed25519', 'rsa-2048'] as const)
                  yield {
                    caCertFile,
                    certFile,
                    certKey,
                    disableTls,
                    tlsSkipVerify,
                    tlsMinVersion,
                    tlsCipherSuites,
                    keyAlgorithm,
                  };
}

/** The rule in other words: what the mode must be, or null where a refusal is due. */
function expected(o: TlsOptions): TlsMode['t'] | null {
  const files = [o.caCertFile, o.certFile, o.certKey].filter(file => file !== '').length;
  const version = o.tlsMinVersion.trim();
  const suites = o.tlsCipherSuites;
  const profile = version !== '' || suites.length > 0;
  if (o.tlsSkipVerify) return null;
  if (o.disableTls) return files === 0 && !profile && o.keyAlgorithm === 'ecdsa-p256' ? 'disabled' : null;
  if (files === 1 || files === 2) return null;
  if (files === 3 && o.keyAlgorithm !== 'ecdsa-p256') return null;
  if (version === 'VersionTLS11' || version === 'x') return null;
  if (suites.length > 0 && (version === 'VersionTLS13' || suites[0] !== SUITE)) return null;
  if (files === 0 && suites.length > 0 && o.keyAlgorithm === 'rsa-2048') return null;
  return files === 0 ? 'automatic' : 'manual';
}

t.test(
  'every combination of options is one of three modes or refused, and only -disable-tls turns TLS off',
  async t => {
    let count = 0;
    const modes = { automatic: 0, manual: 0, disabled: 0, refused: 0 };
    for (const o of combinations()) {
      count += 1;
      const want = expected(o);
      let got: TlsMode | null = null;
      try {
        got = chooseTlsMode(o);
      } catch (error) {
        if (!(error instanceof Error) || !('code' in error) || !('hint' in error)) throw error;
        if (!error.message.startsWith('-') && !/invalid|cannot be used|in -tls/.test(error.message))
          t.fail(error.message);
        if (typeof error.hint !== 'string' || error.hint === '') t.fail(`no way out: ${error.message}`);
      }
      if ((got?.t ?? null) !== want)
        t.fail(`${JSON.stringify(o)} became ${got?.t ?? 'a refusal'}, not ${want}`);
      modes[got?.t ?? 'refused'] += 1;
      if (got?.t === 'disabled' && !/NOT encrypted.*testing only/is.test(tlsWarnings(got, o).join(' ')))
        t.fail('not loud');
      if (got !== null && got.t !== 'disabled') {
        const floor =
          o.tlsMinVersion === 'VersionTLS12' || o.tlsCipherSuites.length > 0 ? 'TLSv1.2' : 'TLSv1.3';
        if (got.link.profile.minVersion !== floor)
          t.fail(`${JSON.stringify(o)} has the floor ${got.link.profile.minVersion}`);
      }
    }
    t.equal(count, 2 ** 5 * 6 * 3 * 3);
    t.strictSame(modes, { automatic: 18, manual: 7, disabled: 2, refused: 1701 });
  },
);

t.test('a half-given combination says what to add and what it would have meant', async t => {
  const rows: readonly [Partial<TlsOptions>, RegExp, RegExp][] = [
    [
      { caCertFile: 'a' },
      /-ca-cert-file \(CACERT_FILE\) without -cert-file \(CERT_FILE\) and -cert-key.*no pod VM would know/,
      /add -cert-file/,
    ],
    [
      { certFile: 'a' },
      /-cert-file.*without -ca-cert-file.*certificate without its key/,
      /add -ca-cert-file.*-cert-key/,
    ],
    [{ certKey: 'a' }, /key without its certificate/, /leave out -cert-key/],
    [
      { certFile: 'a', certKey: 'b' },
      /nothing says which certificates of pod VMs/,
      /add -ca-cert-file \(CACERT_FILE\)/,
    ],
    [{ caCertFile: 'a', certKey: 'b' }, /without -cert-file/, /add -cert-file/],
    [{ caCertFile: 'a', certFile: 'b' }, /without -cert-key/, /add -cert-key/],
    [{ tlsSkipVerify: true }, /-tls-skip-verify \(TLS_SKIP_VERIFY\).*refused/, /leave it out/],
    [
      { disableTls: true, caCertFile: 'a' },
      /-disable-tls turns TLS off, and -ca-cert-file \(CACERT_FILE\) asks for TLS/,
      /leave out -disable-tls/,
    ],
    [{ disableTls: true, tlsMinVersion: 'VersionTLS13' }, /-tls-min-version/, /leave out/],
  ];
  for (const [given, message, hint] of rows) {
    t.throws(() => chooseTlsMode({ ...nothing, ...given }), {
      code: 'ERR_TRUST_OPTIONS',
      message,
      hint,
    });
  }
});

t.test("user-data gets the floor in upstream's words, also when nobody asked for one", async t => {
  const link = (given: Partial<TlsOptions>): unknown => {
    const mode = chooseTlsMode({ ...nothing, ...given });
    return mode.t === 'disabled' ? null : { version: mode.link.minVersion, suites: mode.link.cipherSuites };
  };
  t.strictSame(link({}), { version: 'VersionTLS13', suites: [] });
  t.strictSame(link({ tlsMinVersion: ' VersionTLS12 ' }), { version: 'VersionTLS12', suites: [] });
  t.strictSame(link({ tlsCipherSuites: [` ${SUITE}`, ''] }), { version: 'VersionTLS12', suites: [SUITE] });
  t.strictSame(tlsWarnings(chooseTlsMode(nothing), nothing), []);
});
