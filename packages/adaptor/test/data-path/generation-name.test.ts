// SPDX-License-Identifier: Apache-2.0
// What a generation of the proxy is called.
import t from 'tap';
import { VERSION } from '@peerpod-tls/daemon';
import { generationName, type ProxySettings } from '../../src/data-path/generation-name.js';

const settings: ProxySettings = {
  socket: '/run/peerpod/hypervisor.sock',
  threads: 2,
  drainMs: 30_000,
  logLevel: 'info',
  logFormat: 'json',
};

t.test('the same program with the same settings is found again, any other is another', async t => {
  const name = generationName(settings);
  t.equal(generationName({ ...settings }), name);
  const others = [
    generationName({ ...settings, socket: '/run/other.sock' }),
    generationName({ ...settings, threads: 3 }),
    generationName({ ...settings, drainMs: 1 }),
    generationName({ ...settings, logLevel: 'debug' }),
    generationName({ ...settings, logFormat: 'text' }),
    generationName(settings, '9.9.9'),
  ];
  t.equal(new Set([name, ...others]).size, 7);
});

t.test('the name says the version, and is short enough for the sockets in its directory', async t => {
  const name = generationName(settings);
  t.ok(name.startsWith(`${VERSION}-`));
  t.match(name, /^[0-9A-Za-z.]+-[0-9A-Za-z]+-[0-9a-f]{8}$/);
  t.ok(name.length <= 32, name);
});
