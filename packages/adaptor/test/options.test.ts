// SPDX-License-Identifier: Apache-2.0
// Flags and environment: defaults, precedence, and every refusal with the flag it names.
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { commonFlags } from '../src/flags.js';
import { defaultStateDir, stateWarnings } from '../src/state/state-dir.js';
import { parseOptions, threadsFor, type AdaptorOptions } from '../src/options.js';
import type { ProviderModule } from '../../providers/src/provider.js';
import { TestProvider } from './kit/provider.js';

const flags = {
  zone: { type: 'string', env: 'ZONE', default: 'a', describe: 'where' },
  fast: { type: 'boolean', describe: 'how' },
} as const;
const cloud: ProviderModule<typeof flags> = {
  name: 'cloud',
  describe: 'a cloud',
  flags,
  create: async () => new TestProvider(1),
};

function read(argv: readonly string[] = [], env: NodeJS.ProcessEnv = {}): AdaptorOptions {
  const parsed = parseOptions(cloud, argv, env);
  if (parsed.t === 'help') throw new Error('help');
  return parsed.options;
}

t.test("without any flag the defaults are upstream's, and the state lies where it lasts", async t => {
  t.match(read(), {
    socket: '/run/peerpod/hypervisor.sock',
    podsDir: '/run/peerpod/pods',
    stateDir: defaultStateDir('/run/peerpod/pods'),
    takeoverMs: 600_000,
    vmLimit: 10,
    createdLimit: 128,
    createdMs: 600_000,
    reapDead: false,
    deadGraceMs: 60_000,
    statusAddress: '127.0.0.1:8000',
    forwarderPort: 15_150,
    proxyTimeoutMs: 300_000,
    tls: { t: 'automatic', algorithm: 'ecdsa-p256' },
    warnings: stateWarnings(defaultStateDir('/run/peerpod/pods')),
  });
});

t.test('the environment is below the command line, and an empty variable is none', async t => {
  t.equal(read([], { FORWARDER_PORT: '4' }).forwarderPort, 4);
  t.equal(read(['--forwarder-port', '5'], { FORWARDER_PORT: '4' }).forwarderPort, 5);
  t.equal(read([], { FORWARDER_PORT: '' }).forwarderPort, 15_150);
  t.equal(read([], { PROBE_PORT: '9000' }).statusAddress, '127.0.0.1:9000');
  t.equal(read(['-status-address=[::1]:0'], { PROBE_PORT: '9000' }).statusAddress, '[::1]:0');
  t.equal(read(['-pods-dir=here']).stateDir, path.resolve('here/.state'));
  t.match(read([], { CACERT_FILE: 'a', CERT_FILE: 'b', CERT_KEY: 'c' }).tls, {
    t: 'manual',
    caFile: 'a',
    certFile: 'b',
    keyFile: 'c',
  });
});

t.test('flags of the provider stand among the common ones and go to the provider', async t => {
  const parsed = parseOptions(cloud, ['-zone', 'b', '-proxy-timeout=9s', '--fast', '-socket', '/x/y'], {
    ZONE: 'c',
  });
  t.match(parsed, {
    t: 'options',
    provider: { zone: 'b', fast: true },
    options: { socket: '/x/y', proxyTimeoutMs: 9000 },
  });
  const help = parseOptions(cloud, ['-zone', 'b', '-help'], { INITDATA: 'secret', ZONE: 'hidden' });
  t.equal(help.t, 'help');
  if (help.t !== 'help') return;
  t.match(help.text, /Options of the provider "cloud"/);
  t.notMatch(help.text, /secret|hidden/, 'values of the environment are not in the help');
  for (const flag of Object.keys(commonFlags)) t.match(help.text, ` -${flag}`);
});

t.test('a provider cannot shadow a common flag', async t => {
  const thief: ProviderModule = { ...cloud, flags: { socket: { type: 'string', describe: '' } } };
  t.throws(() => parseOptions(thief, [], {}), /internal error.*-socket/);
});

t.test('what cannot be meant is refused, naming the flag or the variable', async t => {
  const rows: readonly [readonly string[], NodeJS.ProcessEnv, RegExp][] = [
    [['-sokcet=x'], {}, /-sokcet/],
    [['-forwarder-port=0'], {}, /-forwarder-port/],
    [['-forwarder-port=70000'], {}, /-forwarder-port/],
    [['-forwarder-port=10abc'], {}, /-forwarder-port/],
    [[], { FORWARDER_PORT: 'x' }, /FORWARDER_PORT/],
    [[], { PROXY_TIMEOUT: '10' }, /PROXY_TIMEOUT/],
    [['-proxy-timeout=0s'], {}, /-proxy-timeout/],
    [['-data-path-threads=0'], {}, /-data-path-threads/],
    [['-data-path-threads=1.5'], {}, /-data-path-threads/],
    [[], { DATA_PATH_THREADS: '65' }, /DATA_PATH_THREADS/],
    [['-socket='], {}, /-socket/],
    [['-pods-dir='], {}, /-pods-dir/],
    [['-tunnel-type=ipip'], {}, /-tunnel-type/],
    [['-key-algorithm=dsa'], {}, /-key-algorithm/],
    [['-log-level=loud'], {}, /-log-level/],
    [['-disable-tls=maybe'], {}, /-disable-tls/],
    [[], { TLS_SKIP_VERIFY: 'true' }, /TLS_SKIP_VERIFY/],
    [['-status-address=8000'], {}, /-status-address/],
    [['-status-address=:8000'], {}, /-status-address/],
    [['-status-address=::1:8000'], {}, /-status-address/],
    [['-status-address=localhost:99999'], {}, /-status-address/],
    [[], { PROBE_PORT: 'http' }, /PROBE_PORT/],
    [['-initdata=???'], {}, /-initdata.*base64/],
    [['-initdata=aGVsbG8='], {}, /-initdata.*gzip/],
    [['stray'], {}, /stray/],
    [['-zone=b', 'stray'], {}, /stray/],
  ];
  for (const [argv, env, message] of rows)
    t.throws(() => read(argv, env), { message }, [...argv, JSON.stringify(env)].join(' '));
  t.equal(read([], { TLS_SKIP_VERIFY: 'false' }).tls.t, 'automatic');
});

t.test('threads of the data path are half of the cores, unless somebody says how many', async t => {
  t.strictSame([1, 2, 3, 4, 7, 16, 128].map(threadsFor), [1, 1, 1, 2, 3, 4, 4]);
  t.equal(read([]).dataPathThreads, threadsFor(availableParallelism()));
  t.equal(read(['-data-path-threads=3'], { DATA_PATH_THREADS: '5' }).dataPathThreads, 3);
  t.equal(read([], { DATA_PATH_THREADS: '5' }).dataPathThreads, 5);
});

t.test('initdata must be what a guest takes', async t => {
  const pack = (data: string | Uint8Array): string => gzipSync(data).toString('base64');
  const good = pack('algorithm = "sha256"\nversion = "0.1.0"\n');
  t.equal(read([`-initdata=${good}`]).initdata, good);
  t.equal(
    read([`-initdata=${good.slice(0, 9)}\n${good.slice(9)}`]).initdata,
    good,
    'line breaks are tolerated',
  );
  t.throws(() => read([`-initdata=${pack(new Uint8Array([0xff, 0xfe]))}`]), {
    message: /-initdata .*not UTF-8 text/,
  });
  t.throws(() => read([`-initdata=${pack('algorithm = "md5"\n')}`]), { message: /algorithm "md5"/ });
  t.throws(() => read([`-initdata=${pack(new Uint8Array(5_000_000))}`]), {
    code: 'ERR_USAGE',
    message: /more than \d+ bytes/,
  });
});

t.test('flags that do nothing yet are accepted and named in a warning', async t => {
  t.match(read(['-vxlan-port=1'], { PAUSE_IMAGE: 'x' }).warnings, [
    /-pause-image, -vxlan-port: accepted, without effect/,
  ]);
  t.match(read(['-disable-tls']).warnings, [/--disable-tls: .*testing only/i]);
});
