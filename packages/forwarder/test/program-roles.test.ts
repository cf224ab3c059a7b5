// SPDX-License-Identifier: Apache-2.0
// Who may be what: keys of one end tried at the other, against the real program, with the recipes people follow.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { createServer, connect as connectTls } from 'node:tls';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkMaterial, fingerprintOf, readPem } from '@peerpod-tls/certs';
import { dialLink } from '@peerpod-tls/link';
import { FrameType, encodeFrame, encodeRequest } from '@peerpod-tls/ttrpc';
import t from 'tap';
import type { Test } from 'tap';
import { noOpenssl } from '../../certs/test/support.js';
import { Program } from './support/program.js';
import { makeWorld, silent, startAgent } from './support/world.js';
import type { World } from './support/world.js';

/** The commands of docs/certificates.md, as a reader would paste them. */
const page = readFileSync(fileURLToPath(new URL('../../../docs/certificates.md', import.meta.url)), 'utf8');
const ours = /## Bringing your own[\s\S]*?```bash\n([\s\S]*?)```/.exec(page)?.[1] ?? '';

/** Upstream's: no usage in it, one pair for all pod VMs, one CA for both directions. */
const upstreams = `
openssl req -newkey rsa:2048 -new -nodes -x509 -days 30 -out ca.crt -keyout ca.key -subj "/C=IN/ST=KA/L=BLR/O=Self/OU=Self/CN=podvm_root_ca"
openssl genrsa -out tls.key 2048
openssl req -new -key tls.key -out tls.csr -subj "/C=IN/ST=KA/L=BLR/O=Self/OU=Self/CN=podvm-server"
openssl x509 -req -in tls.csr -extfile <(printf "subjectAltName=DNS:podvm-server") -CA ca.crt -CAkey ca.key -days 30 -sha256 -CAcreateserial -out tls.crt
openssl genrsa -out client.key 2048
openssl req -new -key client.key -out client.csr -subj "/C=IN/ST=KA/L=BLR/O=Self/OU=Self/CN=podvm_client"
openssl x509 -req -in client.csr -extfile <(printf "subjectAltName=DNS:podvm_client") -CA ca.crt -CAkey ca.key -out client.crt -days 30 -sha256 -CAcreateserial
`;

interface Set {
  readonly directory: string;
  /** The three flags a pod VM's image gives its forwarder. */
  readonly flags: readonly string[];
}

function follow(world: World, name: string, recipe: string): Set {
  const directory = join(world.directory, name);
  mkdirSync(directory);
  execFileSync('bash', ['-ec', recipe], { cwd: directory, stdio: 'pipe' });
  return {
    directory,
    flags: [
      `-ca-cert-file=${join(directory, 'ca.crt')}`,
      `-cert-file=${join(directory, 'tls.crt')}`,
      `-cert-key=${join(directory, 'tls.key')}`,
    ],
  };
}

/** `served` once the agent has answered a call, `refused` when the connection ends instead. */
function knock(port: number, certFile: string, keyFile: string): Promise<'served' | 'refused'> {
  return new Promise(resolve => {
    const socket = connectTls({
      port,
      host: '127.0.0.1',
      cert: readFileSync(certFile),
      key: readFileSync(keyFile),
      rejectUnauthorized: false,
    });
    const done = (end: 'served' | 'refused'): void => {
      socket.destroy();
      resolve(end);
    };
    socket.on('error', () => {});
    socket.once('data', () => done('served')).once('close', () => done('refused'));
    const payload = { service: 'grpc.Health', method: 'Check', payload: new Uint8Array(0) };
    socket.write(
      encodeFrame(
        { streamId: 1, type: FrameType.request },
        encodeRequest({ ...payload, timeoutNano: 0n, metadata: [] }),
      ),
    );
  });
}

async function run(
  t: Test,
  world: World,
  flags: readonly string[],
): Promise<{ program: Program; port: number }> {
  const program = new Program(t, [...world.argv, ...flags]);
  return { program, port: await program.port() };
}

const warnings = (program: Program): string[] =>
  program
    .lines()
    // The sets are for a trial and expire soon, which is told too.
    .filter(({ level, msg }) => level === 'warn' && msg !== 'certificate expires soon')
    .map(({ msg }) => msg);
const OPENS = /^own certificate would be let in as a client/;

t.test(
  'with the recipe of our page each key opens what it is for and nothing else',
  { skip: noOpenssl },
  async t => {
    const world = await makeWorld(t);
    world.configure({
      'tls-server-key': undefined,
      'tls-server-cert': undefined,
      'tls-client-ca': undefined,
    });
    await startAgent(t, world);
    const { directory, flags } = follow(world, 'ours', ours);
    const at = (name: string): string => join(directory, name);
    const { program, port } = await run(t, world, flags);
    t.strictSame(warnings(program), [], 'nothing to warn of');
    t.equal(await knock(port, at('client.crt'), at('client.key')), 'served');
    t.equal(await knock(port, at('tls.crt'), at('tls.key')), 'refused', "the pod VM's own key");
    t.match(await program.nth('peer refused', 0), { rule: 'wrong-purpose', subject: /podvm-server/ });
    t.equal(await knock(port, at('ca.crt'), at('ca.key')), 'refused', "the CA's own certificate");
    t.match(await program.nth('peer refused', 1), { subject: /podvm_root_ca/ });

    const client = checkMaterial({
      role: 'client',
      cert: readPem(at('client.crt'), '-cert-file'),
      key: readPem(at('client.key'), '-cert-key'),
      anchors: readPem(at('ca.crt'), '-ca-cert-file'),
    });
    for (const [name, code] of [
      ['client', 'ERR_LINK_PEER_REFUSED'],
      ['ca', /^ERR_LINK_(PEER_REFUSED|WRONG_NAME)$/],
    ] as const) {
      const impostor = createServer({
        cert: readFileSync(at(`${name}.crt`)),
        key: readFileSync(at(`${name}.key`)),
      });
      impostor.on('tlsClientError', () => {}).listen(0, '127.0.0.1');
      await once(impostor, 'listening');
      const address = impostor.address();
      await t.rejects(
        dialLink({
          host: '127.0.0.1',
          port: typeof address === 'object' ? (address?.port ?? 0) : 0,
          serverName: 'podvm-server',
          security: { t: 'tls', material: () => client, profile: { minVersion: 'TLSv1.2' } },
          signal: new AbortController().signal,
          log: silent,
        }),
        { code },
        `${name} as a server`,
      );
      impostor.close();
    }
  },
);

t.test(
  "upstream's recipe is accepted, warned of at every start, and safe once clients are named",
  { skip: noOpenssl },
  async t => {
    const world = await makeWorld(t);
    world.configure({
      'tls-server-key': undefined,
      'tls-server-cert': undefined,
      'tls-client-ca': undefined,
    });
    await startAgent(t, world);
    const { directory, flags } = follow(world, 'upstreams', upstreams);
    const at = (name: string): string => join(directory, name);
    const open = await run(t, world, flags);
    t.match(warnings(open.program), [OPENS]);
    t.equal(await knock(open.port, at('client.crt'), at('client.key')), 'served');
    t.equal(await knock(open.port, at('tls.crt'), at('tls.key')), 'served', 'which is what the warning says');

    const named = await run(t, world, [...flags, '-client-names=podvm_client']);
    t.strictSame(warnings(named.program), []);
    t.equal(await knock(named.port, at('client.crt'), at('client.key')), 'served');
    t.equal(await knock(named.port, at('tls.crt'), at('tls.key')), 'refused');
    t.match(await named.program.said('connection refused'), {
      rule: 'not-named',
      text: /CN=podvm-server.*sha256 [0-9a-f]{64}.*-client-names/,
    });
    t.equal(await knock(named.port, at('ca.crt'), at('ca.key')), 'refused');
  },
);

t.test(
  "a client without any name, as upstream's adaptor makes it, is named by its subject or its digest",
  async t => {
    const world = await makeWorld(t);
    await startAgent(t, world);
    const certFile = world.file('client.crt', world.client.certPem);
    const keyFile = world.file('client.key', world.client.keyPem);
    const digest = fingerprintOf(world.client.certificate);
    const [bySubject, byDigest, another] = await Promise.all(
      [
        '-client-names=O=cloud-api-adaptor',
        `-client-fingerprints=${world.client.certificate.fingerprint256}`,
        `-client-fingerprints=${digest.replace(/^./, digest.startsWith('0') ? '1' : '0')}`,
      ].map(flag => run(t, world, [flag])),
    );
    if (bySubject === undefined || byDigest === undefined || another === undefined)
      throw new Error('three ran');
    t.equal(await knock(bySubject.port, certFile, keyFile), 'served');
    t.equal(await knock(byDigest.port, certFile, keyFile), 'served');
    t.equal(await knock(another.port, certFile, keyFile), 'refused');
    t.match(await another.program.said('connection refused'), {
      rule: 'not-named',
      text: new RegExp(digest),
    });
  },
);
