// SPDX-License-Identifier: Apache-2.0
// apf.json: the bytes upstream writes, and the reading upstream does.
import { assert, constant, dictionary, oneof, property, record, string } from 'fast-check';
import t from 'tap';
import { MAX_APF_BYTES, parseApf, renderApf } from '../src/apf.js';

t.test(
  'the text is upstream\u2019s and the sandbox\u2019s id: keys in order, four spaces, Go\u2019s escapes, empty values left out',
  async t => {
    const text = renderApf({
      podNetwork: {
        podip: '10.0.0.2/24',
        routes: [{ dst: '', gw: '<a>' }],
        neighbors: [],
        mtu: 1450,
        dedicated: false,
      },
      podNamespace: 'default',
      podName: 'a&b\u2028\u2029',
      tlsServerKey: 'KEY\n',
      tlsServerCert: 'CERT\n',
      tlsClientCa: 'CA\n',
      tlsMinVersion: 'VersionTLS13',
      tlsCipherSuites: ['A', 'B'],
      sandboxId: 's1',
    });
    t.equal(
      text,
      String.raw`{
    "pod-network": {
        "podip": "10.0.0.2/24",
        "routes": [
            {
                "dst": "",
                "gw": "\u003ca\u003e"
            }
        ],
        "neighbors": [],
        "mtu": 1450,
        "dedicated": false
    },
    "pod-namespace": "default",
    "pod-name": "a\u0026b\u2028\u2029",
    "tls-server-key": "KEY\n",
    "tls-server-cert": "CERT\n",
    "tls-client-ca": "CA\n",
    "tls-min-version": "VersionTLS13",
    "tls-cipher-suites": [
        "A",
        "B"
    ],
    "sandbox-id": "s1"
}`,
    );
    const empty = renderApf({
      podNetwork: undefined,
      podNamespace: '',
      podName: '',
      tlsServerKey: '',
      tlsCipherSuites: [],
    });
    t.match(
      empty,
      /^\{\n {4}"pod-network": \{[^]*\n {4}\},\n {4}"pod-namespace": "",\n {4}"pod-name": ""\n\}$/,
    );
  },
);

t.test('half a character becomes the replacement character', async t => {
  t.match(
    renderApf({ podNetwork: null, podNamespace: 'a\ud800', podName: '\udc00b\u{1f600}' }),
    /"a\ufffd"[^]*"\ufffdb\u{1f600}"/u,
  );
});

t.test('what is rendered is read back the same', async t => {
  const text = string({ unit: 'grapheme' });
  const config = record(
    {
      podNetwork: oneof(constant(null), dictionary(text, text, { noNullPrototype: true })),
      podNamespace: text,
      podName: text,
      tlsServerKey: string({ minLength: 1, unit: 'grapheme' }),
      tlsCipherSuites: constant(['X']),
      sandboxId: string({ minLength: 1, unit: 'grapheme' }),
    },
    { requiredKeys: ['podNetwork', 'podNamespace', 'podName'] },
  );
  assert(
    property(config, input => {
      const parsed = parseApf(renderApf(input));
      t.same(parsed, { config: input, unknownKeys: [], trailingBytes: 0 });
    }),
    { numRuns: 100 },
  );
});

t.test('keys are read without regard to case, null as nothing, unknown keys are named', async t => {
  const text =
    '{"POD-NAME":"p","Tls-Server-\u212aey":"k","tls-client-ca":null,"pod-network":null,"new-key":1,"sc-pp-prv":"x","SC-WN-PUB":"y"}';
  t.strictSame(parseApf(text), {
    config: { podNetwork: null, podNamespace: '', podName: 'p', tlsServerKey: 'k' },
    unknownKeys: ['new-key'],
    trailingBytes: 0,
  });
  t.strictSame(parseApf('null').config, { podNetwork: null, podNamespace: '', podName: '' });
  t.strictSame(parseApf('{"tls-cipher-suites":[null,"A"]}').config.tlsCipherSuites, ['', 'A']);
  t.strictSame(parseApf('{"__proto__":{"podName":"x"}}').unknownKeys, ['__proto__']);
});

t.test('only the first value is read; what follows is counted', async t => {
  const { config, trailingBytes } = parseApf(' \n{"pod-name":"a}\\"{"}\n{"pod-name":"b"} é');
  t.equal(config.podName, 'a}"{');
  t.equal(trailingBytes, 19);
});

t.test('what is not readable is refused with the place, and never with the content', async t => {
  const rows: readonly [string, RegExp][] = [
    ['', /it is empty/],
    [' \n', /it is empty/],
    ['{"tls-server-key": "SECRET', /ends before its first value does/],
    ['{"tls-server-key": "SECRET"', /ends before/],
    ['{"tls-server-key": "SECRET" SECRET}', /line 1, column 29 is not JSON/],
    ['{\n"a": SECRET}', /is not JSON/],
    ['SECRET', /not JSON/],
    ['["SECRET"]', /holds a list, not an object/],
    ['"SECRET"', /holds a text/],
    ['12', /holds a number/],
    ['{"pod-name": 1}', /pod-name in apf\.json is a number, not a text/],
    ['{"tls-server-key": ["SECRET"]}', /tls-server-key in apf\.json is a list, not a text/],
    ['{"tls-cipher-suites": "SECRET"}', /tls-cipher-suites in apf\.json is a text, not a list/],
    ['{"tls-cipher-suites": ["a", true]}', /tls-cipher-suites\[1\] in apf\.json is a boolean/],
    ['{"pod-network": "SECRET"}', /pod-network in apf\.json is a text, not an object/],
    ['{"pod-name": "a", "Pod-Name": "SECRET"}', /pod-name twice/],
  ];
  for (const [text, message] of rows) {
    try {
      parseApf(text);
      t.fail(`accepted ${text}`);
    } catch (error) {
      t.match(error, { code: 'ERR_USER_DATA_APF', message }, text);
      t.notMatch(String(error), /SECRET/);
    }
  }
  t.throws(() => parseApf(' '.repeat(MAX_APF_BYTES + 1)), { code: 'ERR_USER_DATA_TOO_LARGE' });
});

t.test('nested without end, it is refused or read, and quickly', async t => {
  const begin = performance.now();
  t.throws(() => parseApf('['.repeat(500_000)), { code: 'ERR_USER_DATA_APF' });
  t.throws(() => parseApf(`{"pod-network":${'['.repeat(400_000)}${']'.repeat(400_000)}}`), {
    code: 'ERR_USER_DATA_APF',
  });
  t.ok(performance.now() - begin < 2000);
});
