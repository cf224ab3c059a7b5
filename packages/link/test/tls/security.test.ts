// SPDX-License-Identifier: Apache-2.0
// What the OpenSSL context of a link insists on, seen by foreign clients: whose order of suites counts, and that nobody
// renegotiates.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect as connectTls } from 'node:tls';
import t, { type Test } from 'tap';
import { listen, makeWorld } from '../support/tls.js';

const world = await makeWorld();
const noOpenssl = spawnSync('openssl', ['version']).status === 0 ? false : 'no openssl on PATH';

async function port(t: Test, ciphers?: string): Promise<number> {
  const profile = { minVersion: 'TLSv1.2', ...(ciphers === undefined ? {} : { ciphers }) } as const;
  const listener = await listen(world, {
    onPeer: peer => void peer.socket.on('error', () => {}).resume(),
    security: { t: 'tls', material: () => world.server, profile },
  });
  t.teardown(() => listener.close());
  return listener.address().port;
}

t.test('the order of suites is the server’s, whatever a client would rather have', async t => {
  const rows = [
    [
      'TLSv1.3',
      'TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256',
      'TLS_AES_128_GCM_SHA256',
    ],
    [
      'TLSv1.2',
      'ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256',
      'ECDHE-ECDSA-AES128-GCM-SHA256',
    ],
  ] as const;
  const to = await port(t);
  for (const [version, ciphers, chosen] of rows) {
    const { certPem: cert, keyPem: key } = world.clientLeaf;
    const socket = connectTls({
      host: '127.0.0.1',
      port: to,
      cert,
      key,
      ciphers,
      minVersion: version,
      maxVersion: version,
      rejectUnauthorized: false,
    });
    socket.on('error', () => {});
    await once(socket, 'secureConnect');
    t.equal(socket.getCipher().name, chosen, version);
    socket.destroy();
  }
});

t.test(
  'a client that asks for a new handshake on a standing link gets none',
  { skip: noOpenssl },
  async t => {
    const dir = t.testdir({ 'c.crt': world.clientLeaf.certPem, 'c.key': world.clientLeaf.keyPem });
    const to = await port(t);
    const args = ['s_client', '-connect', `127.0.0.1:${to}`, '-tls1_2', '-cert', 'c.crt', '-key', 'c.key'];
    const child = spawn('openssl', args, { cwd: dir });
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => void (said += text));
    t.teardown(() => child.kill());
    while (!said.includes('Verify return code')) await once(child.stdout, 'data');
    // s_client takes an R at the beginning of a line for a demand to renegotiate.
    child.stdin.write('R\n');
    await once(child, 'exit');
    t.match(said, /RENEGOTIATING/);
    t.match(said, /no renegotiation/i);
  },
);
