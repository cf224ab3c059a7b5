// SPDX-License-Identifier: Apache-2.0
// What two processes say to each other arrives as it was meant, over real bytes, and what is not understood is passed over.
import t from 'tap';
import { peerpod } from '@peerpod-tls/agent-protocol/proxy';
import { Authority, checkMaterial } from '@peerpod-tls/certs';
import {
  agentMessage,
  agentOf,
  checkApi,
  errorOfFailure,
  eventMessage,
  failureMessage,
  materialMessage,
  sandboxViewMessage,
  sandboxViewOf,
  securityOf,
  specMessage,
  specOf,
  threadViewMessage,
  threadViewOf,
  watchedEventOf,
  type ProxyEvent,
} from '../../src/control/index.js';

const { v1 } = peerpod.proxy;

interface Type<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

const over = <T>(type: Type<T>, message: T): T => type.decode(type.encode(message).finish());

t.test('a spec, an answer and views arrive as they were sent', async t => {
  const spec = {
    sandbox: 'a',
    pod: 'default/nginx',
    socket: '/run/a/agent.ttrpc',
    addresses: ['10.0.0.1', 'fd00::1'],
    port: 15_150,
    tls: { material: 'automatic', serverName: 'podvm-a' },
    rewrites: { directVolumes: '/volumes' },
    limits: { redialBudgetMs: 20_000 },
  };
  t.strictSame(specOf(over(v1.ProxySpec, specMessage(spec))), spec);
  const agent = {
    attempts: 3,
    ms: 1200,
    lastTryMs: 14,
    remote: '10.0.0.1:15150',
    protocol: 'TLSv1.3',
    cipher: 'TLS_AES_128_GCM_SHA256',
    subject: 'CN=x',
    names: ['x', 'y'],
    fingerprint: 'ab',
    handshakeMs: 3.25,
  };
  t.strictSame(agentOf(over(v1.AgentAnswer, agentMessage(agent))), agent);
  for (const lastClosedAt of [null, '2026-01-01T00:00:00.000Z']) {
    const view = { sandbox: 'a', pod: 'n/p', thread: 2, connections: 1, openedAt: '2026', lastClosedAt };
    t.strictSame(sandboxViewOf(over(v1.SandboxView, sandboxViewMessage(view))), view);
  }
  const thread = { thread: 1, sandboxes: 4, connections: 2, busySeconds: 1.5 };
  t.strictSame(threadViewOf(over(v1.ThreadView, threadViewMessage(thread))), thread);
});

t.test('events arrive with their number, and a kind of a newer release is passed over', async t => {
  // One of each kind: the type asks for the next one, too.
  const events: { readonly [K in ProxyEvent['t']]: Extract<ProxyEvent, { t: K }> } = {
    handshake: { t: 'handshake', ms: 3.5 },
    refused: { t: 'refused', rule: 'expired' },
    lost: { t: 'lost', cause: 'reset' },
    redialled: { t: 'redialled', ms: 20, replayed: 2, unavailable: 1 },
    resumed: { t: 'resumed', cause: 'reset', ms: 310 },
    'not-redialled': { t: 'not-redialled', cause: 'timed-out' },
    'protocol-error': { t: 'protocol-error' },
    connected: { t: 'connected' },
    disconnected: { t: 'disconnected' },
    'thread-lost': { t: 'thread-lost', thread: 2, sandboxes: 3 },
  };
  for (const event of Object.values(events)) {
    const watched = { number: 7, sandbox: 'a', event };
    t.strictSame(watchedEventOf(over(v1.Event, eventMessage(watched))), watched);
  }
  t.equal(watchedEventOf({ number: 8, kind: 'teleported' }), null);
  t.match(watchedEventOf({ kind: 'lost', cause: 'gremlins' }), { event: { t: 'lost', cause: 'other' } });
});

t.test('an error keeps its code, words, way out, refusal and causes', async t => {
  const refusal = { rule: 'expired', text: 'it has expired', expected: ['a'], now: 'now' };
  const error = Object.assign(new Error('outer', { cause: new Error('inner') }), {
    code: 'ERR_LINK_PEER_REFUSED',
    hint: 'renew it',
    permanent: true,
    refusal,
  });
  const revived = errorOfFailure(over(v1.Failure, failureMessage(error)));
  t.match(revived, {
    message: 'outer',
    code: 'ERR_LINK_PEER_REFUSED',
    hint: 'renew it',
    permanent: true,
    refusal,
    cause: { message: 'inner' },
  });
  t.notMatch(errorOfFailure(failureMessage(new Error('bare'))), { permanent: true });
  t.match(
    errorOfFailure({ message: 'x', refusalJson: '{' }),
    { message: 'x', name: 'Error' },
    'nonsense is left out',
  );
});

t.test('a chain of causes has an end, whoever made it', async t => {
  let failure: peerpod.proxy.v1.Failure.$Properties = { message: 'last' };
  for (let depth = 0; depth < 50; depth += 1) failure = { message: `${depth}`, cause: failure };
  let length = 0;
  for (let at: unknown = errorOfFailure(failure); at instanceof Error; at = at.cause) length += 1;
  t.equal(length, 5);
});

t.test('material arrives as what it was, and passes the check that it passed before', async t => {
  const authority = await Authority.create({ subject: { CN: 'x' } });
  const { certPem, keyPem } = await authority.issue('client', { subject: { CN: 'x' } });
  const origin = { file: 'tls.crt', flag: '-cert-file' };
  const material = checkMaterial({
    role: 'client',
    cert: { ...origin, pem: certPem },
    key: { ...origin, pem: keyPem },
    anchors: { ...origin, pem: authority.certPem },
  });
  const profile = { minVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' } as const;
  const security = { t: 'tls', material: () => material, profile } as const;
  const sent = materialMessage({ name: 'automatic', security }, Date.now());
  const revived = securityOf(over(v1.Material, sent));
  t.equal(revived.name, 'automatic');
  if (revived.security.t !== 'tls') throw new Error('it became plain');
  const { chainPem, anchorsPem, keyPem: key, origin: from } = revived.security.material();
  t.strictSame(
    [chainPem, anchorsPem, key, from, revived.security.profile],
    [material.chainPem, material.anchorsPem, material.keyPem, origin, profile],
  );
  t.strictSame(
    securityOf(over(v1.Material, materialMessage({ name: 'disabled', security: { t: 'plain' } }, 0))),
    {
      name: 'disabled',
      security: { t: 'plain' },
    },
  );
});

t.test('releases one apart go together, those two apart do not, and the reason names both', async t => {
  for (const api of [0, 1, 2]) checkApi(api, 'it');
  for (const api of [3, 4_000_000_000])
    t.throws(() => checkApi(api, 'the adaptor 9.0.0'), {
      code: 'ERR_PROXY_API',
      message: new RegExp(`the adaptor 9.0.0 speaks version ${api} .* this one speaks 1`),
      hint: /the release between them/,
    });
});
