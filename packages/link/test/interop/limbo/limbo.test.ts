// SPDX-License-Identifier: Apache-2.0
// Every case of the corpus as real handshakes on loopback, as server and as client, and as `certs inspect` sees it. The
// peer under test is Node's own TLS, which presents whatever it is given.
import { once } from 'node:events';
import { X509Certificate } from 'node:crypto';
import tls from 'node:tls';
import type { TlsMaterial } from '@peerpod-tls/certs';
import t from 'tap';
import { LinkError } from '../../../src/errors.js';
import { dialLink } from '../../../src/tls/dial.js';
import { listenLink } from '../../../src/tls/listen.js';
import { verifyAsALinkWould } from '../../../src/tls/verify-certificates.js';
import {
  CLIENT_AUTH,
  ext,
  forge,
  forgeCa,
  forgeLeaf,
  SERVER_AUTH,
  type Forged,
} from '../../support/forge.js';
import { material, profile, silentLog } from '../../support/tls.js';
import { cases } from './cases.js';
import { differences } from './differences.js';
import type { Case, Chain, Result } from './shapes.js';

type Role = 'server' | 'client';

const ownCa = forgeCa('own');
const own = { server: forgeLeaf('server', ownCa), client: forgeLeaf('client', ownCa) };

function build(c: Case, role: Role): Chain {
  const purpose = c.bare ? [] : [ext.purposes(role === 'server' ? SERVER_AUTH : CLIENT_AUTH)];
  if (c.graph !== null) return c.graph(purpose);
  const made: Forged[] = [];
  for (const [i, shape] of c.cas.entries()) {
    const by = made.at(-1);
    made.push(forge({ cn: `ca ${i}`, ...shape, ...(by === undefined ? {} : { by }) }));
  }
  const [root] = made;
  const by = made.at(-1);
  if (root === undefined || by === undefined) throw new Error(`${c.id} has no CA`);
  const leaf = forge({ cn: 'leaf', by, extensions: [...c.leaf, ...purpose], ...c.shape });
  const between = c.odd === 'intermediates-missing' ? [] : made.slice(1).toReversed();
  if (c.odd !== 'unrelated-root') return { leaf, presented: [leaf, ...between], anchors: [root] };
  return { leaf, presented: [leaf, ...between, root], anchors: [forgeCa('unrelated')] };
}

/** Our material with the anchors of a case; null where it is refused at the start already. */
function ours(role: Role, anchors: readonly Forged[]): TlsMaterial | null {
  try {
    return material(role, own[role], anchors.map(({ certPem }) => certPem).join(''));
  } catch (error) {
    t.match(error, { code: /^ERR_CERT_/ }, 'a start refuses by a rule');
    return null;
  }
}

const presenting = ({ leaf, presented }: Chain): tls.SecureContextOptions => ({
  cert: presented.map(({ certPem }) => certPem).join(''),
  key: leaf.keyPem,
  ciphers: 'DEFAULT@SECLEVEL=0',
});

async function dialled(c: Case, chain: Chain): Promise<Result> {
  const mine = ours('client', chain.anchors);
  if (mine === null) return 'refuse';
  const server = tls.createServer({ ...presenting(chain), minVersion: 'TLSv1.3' });
  server.on('tlsClientError', () => undefined);
  server.on('secureConnection', socket => socket.on('error', () => socket.destroy()));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no TCP address');
  try {
    const peer = await dialLink({
      host: '127.0.0.1',
      port: address.port,
      security: { t: 'tls', material: () => mine, profile },
      serverName: c.name,
      signal: AbortSignal.timeout(10_000),
      log: silentLog,
    });
    peer.socket.destroy();
    return 'accept';
  } catch (error) {
    if (!(error instanceof LinkError)) throw error;
    return 'refuse';
  } finally {
    server.close();
  }
}

async function listened(chain: Chain): Promise<Result> {
  const mine = ours('server', chain.anchors);
  if (mine === null) return 'refuse';
  let resolve: (result: Result) => void = () => undefined;
  const promise = new Promise<Result>(done => (resolve = done));
  const listener = await listenLink({
    host: '127.0.0.1',
    port: 0,
    security: { t: 'tls', material: () => mine, profile },
    onPeer: peer => {
      peer.socket.destroy();
      resolve('accept');
    },
    onRefused: () => resolve('refuse'),
    log: silentLog,
  });
  const { port } = listener.address();
  const socket = tls.connect({ host: '127.0.0.1', port, ...presenting(chain), rejectUnauthorized: false });
  socket.on('error', () => socket.destroy());
  const result = await promise;
  socket.destroy();
  await listener.close();
  return result;
}

async function inspected(c: Case, chain: Chain, role: Role): Promise<Result> {
  // What a start refuses is refused there; there is no verdict on a peer then.
  const mine = ours(role === 'server' ? 'client' : 'server', chain.anchors);
  if (mine === null) return 'refuse';
  const [leaf = null, ...rest] = chain.presented.map(({ der }) => new X509Certificate(der));
  const name = role === 'server' ? { name: c.name } : {};
  const verdict = await verifyAsALinkWould({ leaf, chain: rest, anchors: mine.anchors, role, ...name });
  return verdict.t === 'accepted' ? 'accept' : 'refuse';
}

const met = new Set<string>();
for (const role of ['server', 'client'] as const) {
  t.test(`The verdict on a ${role} is the expected one, or a listed difference`, async t => {
    for (const c of cases) {
      if (c.end !== null && c.end !== role) continue;
      const chain = build(c, role);
      const result = role === 'server' ? await dialled(c, chain) : await listened(chain);
      t.equal(await inspected(c, chain, role), result, `${c.id}: inspect and link agree`);
      const key = `${c.id} (${role})`;
      if (result === c.expected) continue;
      met.add(key);
      t.equal(result, differences[key]?.ours, `${key}: expected ${c.expected}, and no reason is listed`);
    }
  });
}

t.test('Every listed difference is still one', t => {
  t.same([...met].toSorted(), Object.keys(differences).toSorted());
  t.equal(new Set(cases.map(({ id }) => id)).size, cases.length, 'no id stands twice');
  t.end();
});
