// SPDX-License-Identifier: Apache-2.0
import t from 'tap';

import { parseListen, readOptions } from '../src/options.js';

function options(...argv: string[]) {
  const invocation = readOptions(argv, {});
  if (invocation.t !== 'serve') throw new Error(`unexpected ${invocation.t}`);
  return invocation.options;
}

t.test("without a flag the defaults are upstream's, and safe", async t => {
  t.match(options(), {
    configFile: '/run/peerpod/apf.json',
    listen: { host: '0.0.0.0', port: 15150 },
    agentSocket: '/run/kata-containers/agent.sock',
    podNamespace: '/run/netns/podns',
    disableTls: false,
    allowAnyClient: false,
    agentTimeoutMs: 150_000,
    guestRoot: '/',
  });
  t.equal(options().statusAddress, undefined);
});

t.test("upstream's unit line is understood, one dash or two, with = or a blank", async t => {
  const given = options(
    '-pod-namespace',
    '/run/netns/podns',
    '-kata-agent-socket=/a.sock',
    '--ca-cert-file',
    '/c/ca.crt',
    '-cert-file=/c/tls.crt',
    '-cert-key',
    '/c/tls.key',
    '-host-interface',
    'ens4',
  );
  t.match(given, {
    agentSocket: '/a.sock',
    caCertFile: '/c/ca.crt',
    certFile: '/c/tls.crt',
    certKey: '/c/tls.key',
  });
  t.equal(options('-pod-namespace', '').podNamespace, '');
});

t.test('what the forwarder cannot mean is refused, naming the flag and the way out', async t => {
  for (const [argv, message, hint] of [
    [['-tls-skip-verify'], /-tls-skip-verify/, /-allow-any-client/],
    [['-disable-tls', '-allow-any-client'], /-disable-tls and -allow-any-client/, /one of them/],
    [['-disable-tls', '-client-names=a'], /-disable-tls lets anybody in/, /leave out -disable-tls/],
    [['-allow-any-client', '-client-fingerprints', '0'.repeat(64)], /lets anybody in/, /-allow-any-client/],
    [['-listen', 'here'], /-listen is "here"/, /HOST:PORT/],
    [['-listen', '127.0.0.1:70000'], /70000/, /65535/],
    [['-pod-namespace', 'default'], /-pod-namespace is "default"/, /absolute path/],
    [['-guest-root', 'x'], /-guest-root/, /leave it out/],
    [['-config='], /-config/, /./],
    [['-kata-agent-socket', '@'], /-kata-agent-socket/, /default/],
    [['-disable-tsl'], /disable-tsl/, /disable-tls/],
    [['-max-links', '0'], /-max-links/, /./],
    [['-drain-timeout', '5'], /-drain-timeout/, /./],
    [['-link-grace', '60'], /-link-grace/, /./],
    [['serve'], /serve/, /./],
  ] as const) {
    t.throws(() => readOptions(argv, {}), { code: 'ERR_USAGE', message, hint }, argv.join(' '));
  }
  t.equal(options('-tls-skip-verify=false').disableTls, false, 'said to be off, it is no request');
});

t.test('a link that was cut is kept for a minute, or as long as flag or variable say', async t => {
  t.equal(options().linkGraceMs, 60_000);
  t.equal(options('-link-grace', '0s').linkGraceMs, 0);
  const { t: kind, ...rest } = readOptions([], { LINK_GRACE: '90s' });
  t.equal(kind, 'serve');
  t.match(rest, { options: { linkGraceMs: 90_000 } });
});

t.test('help and version are asked for in words', async t => {
  const help = readOptions(['-h'], {});
  t.equal(help.t, 'help');
  t.match(help.t === 'help' ? help.text : '', /-allow-any-client[\s\S]*UNSAFE/);
  t.match(readOptions(['-V'], {}), { t: 'help', text: /^agent-protocol-forwarder version/ });
});

t.test('an address to listen on is host and port in the usual spellings', async t => {
  t.same(parseListen('127.0.0.1:0'), { host: '127.0.0.1', port: 0 });
  t.same(parseListen('[::1]:15150'), { host: '::1', port: 15150 });
  t.same(parseListen(':15150'), { host: '', port: 15150 });
  for (const bad of ['', '15150', 'a:b', '::1:15150', 'h:', 'h:1 ', '[::1]', 'a b:1']) {
    t.throws(() => parseListen(bad), { code: 'ERR_USAGE' }, JSON.stringify(bad));
  }
});
