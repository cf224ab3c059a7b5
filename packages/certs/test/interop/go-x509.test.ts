// SPDX-License-Identifier: Apache-2.0
// What we make, in front of the verifier of the upstream project: Go's crypto/x509 and crypto/tls.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeFileSync } from 'node:fs';
import t from 'tap';
import { Authority, selfSignedClient } from '../../src/index.js';
import type { KeyAlgorithm } from '../../src/issue/keys.js';

const wanted = process.env['PEERPOD_SUITE'] === 'interop';
const found = spawnSync('go', ['version']).status === 0;
const skip = wanted ? (found ? false : 'no go on PATH') : 'runs with the interop suite';

t.test('Go accepts what we make and shakes hands with it', { skip }, async t => {
  const dir = t.testdir({});
  const program = join(dir, 'verify');
  const source = fileURLToPath(new URL('verify/', import.meta.url));
  const build = spawnSync('go', ['build', '-o', program, '.'], {
    cwd: source,
    encoding: 'utf8',
    env: { ...process.env, GOFLAGS: '-mod=mod' },
  });
  t.equal(build.status, 0, build.stderr);
  const algorithms: KeyAlgorithm[] = ['ecdsa-p256', 'ecdsa-p384', 'ed25519', 'rsa-2048'];
  const verify = (args: string[]) => spawnSync(program, args, { cwd: dir, encoding: 'utf8' });
  for (const algorithm of algorithms) {
    const ca = await Authority.create({ algorithm });
    const server = await ca.issue('server', { names: ['podvm-x-1', '127.0.0.1'], algorithm });
    const client = await ca.issue('client', { algorithm });
    const alone = await selfSignedClient({ algorithm });
    const write = (name: string, pem: string): void => writeFileSync(join(dir, name), pem);
    write('ca.crt', ca.certPem);
    write('server.crt', server.certPem);
    write('server.key', server.keyPem);
    for (const [name, leaf, anchors] of [
      ['issued', client, ca.certPem],
      ['self-signed', alone, alone.certPem],
      ['beside a CA', alone, ca.certPem + alone.certPem],
    ] as const) {
      write('client.crt', leaf.certPem);
      write('client.key', leaf.keyPem);
      write('client-ca.crt', anchors);
      const run = verify(['accept']);
      t.equal(run.status, 0, `${algorithm}, ${name} client: ${run.stdout}${run.stderr}`);
      t.match(run.stdout, /TLS 1\.3/);
    }
    write('client-ca.crt', (await selfSignedClient()).certPem);
    t.equal(verify(['refuse']).status, 0, 'a client of another anchor is refused');
  }
});
