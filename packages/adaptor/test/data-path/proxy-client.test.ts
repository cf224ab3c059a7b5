// SPDX-License-Identifier: Apache-2.0
// The adaptor's connection to a proxy's control socket, with a server of the protocol on a real one.
import path from 'node:path';
import t, { type Test } from 'tap';
import { proxyService } from '@peerpod-tls/agent-protocol';
import { listenUnixSocket } from '@peerpod-tls/daemon';
import { implement, StatusCode, StatusError, TtrpcServer, type Handlers } from '@peerpod-tls/ttrpc';
import { captureLog, temporary } from '../../../../test/kit/log.js';
import { ProxyClient, type ProxyClientOptions } from '../../src/data-path/proxy-client.js';

type Served = Partial<Handlers<typeof proxyService>>;

async function serve(t: Test, socket: string, served: Served): Promise<() => Promise<void>> {
  const server = new TtrpcServer({ services: [implement(proxyService, served)] });
  const listener = await listenUnixSocket({
    path: socket,
    onConnection: connection => void server.serve(connection),
    log: captureLog().log,
  });
  const stop = async (): Promise<void> => {
    await listener.close();
    server.destroy();
  };
  t.teardown(stop);
  return stop;
}

function clientOn(t: Test, socket: string, more: Partial<ProxyClientOptions> = {}): ProxyClient {
  const client = new ProxyClient({
    socket,
    greet: async () => {},
    onGone: async () => 'again',
    log: captureLog().log,
    ...more,
  });
  t.teardown(() => client.close());
  return client;
}

const soon = (): AbortSignal => new AbortController().signal;

t.test('a call whose proxy ends under it goes out again to the next one, after its greeting', async t => {
  const socket = path.join(temporary(t), 'control.sock');
  const seen: string[] = [];
  let asked = (): void => {};
  const waiting = new Promise<void>(resolve => (asked = resolve));
  const stop = await serve(t, socket, {
    Statistics: () => {
      asked();
      return new Promise(() => {});
    },
  });
  const client = clientOn(t, socket, { greet: async () => void seen.push('greeted') });
  await client.start(soon());
  const answer = client.call(calls => calls.Statistics({}));
  await waiting;
  await stop();
  await serve(t, socket, { Statistics: () => ({ text: 'second' }) });
  t.match(await answer, { text: 'second' });
  t.strictSame(seen, ['greeted', 'greeted']);
});

t.test('a call gives up in words when its patience is over, and so does one that is aborted', async t => {
  const socket = path.join(temporary(t), 'control.sock');
  const client = clientOn(t, socket);
  await t.rejects(client.start(AbortSignal.abort(new Error('not now'))), { message: 'not now' });
  await t.rejects(
    client.call(calls => calls.Statistics({}), { ms: 50 }),
    {
      code: 'ERR_ADAPTOR_PROXY_AWAY',
      message: `no proxy answers on ${socket}`,
    },
  );
  const gone = new AbortController();
  const call = client.call(calls => calls.Statistics({}), { signal: gone.signal });
  gone.abort(new Error('nobody waits'));
  await t.rejects(call, { message: 'nobody waits' });
});

t.test('what a proxy answers with an error is no reason to ask again', async t => {
  const socket = path.join(temporary(t), 'control.sock');
  let asked = 0;
  await serve(t, socket, {
    Retire: () => {
      asked += 1;
      throw new Error('no');
    },
  });
  const client = clientOn(t, socket);
  await client.start(soon());
  await t.rejects(
    client.call(calls => calls.Retire({})),
    { code: 'ERR_TTRPC_STATUS' },
  );
  t.equal(asked, 1);
});

t.test('who gives up on a proxy that is gone ends every call, and a busy one is not gone', async t => {
  const socket = path.join(temporary(t), 'control.sock');
  let gone = 0;
  const stop = await serve(t, socket, { Statistics: () => new Promise(() => {}) });
  const client = clientOn(t, socket, {
    onGone: async () => {
      gone += 1;
      return 'give-up';
    },
  });
  await client.start(soon());
  t.equal(gone, 0);
  const call = client.call(calls => calls.Statistics({}));
  const failed = t.rejects(call, { code: 'ERR_ADAPTOR_PROXY_AWAY' });
  await stop();
  await failed;
  t.equal(gone, 1);
  await t.rejects(
    client.call(calls => calls.List({})),
    { code: 'ERR_ADAPTOR_PROXY_AWAY' },
  );
});

t.test('a greeting that fails is tried again, and one that is refused at the start is not', async t => {
  const socket = path.join(temporary(t), 'control.sock');
  await serve(t, socket, { Statistics: () => ({ text: 'here' }) });
  let tries = 0;
  const client = clientOn(t, socket, {
    greet: async () => {
      tries += 1;
      if (tries < 3) throw new StatusError(StatusCode.unavailable, 'not yet');
    },
  });
  await client.start(soon());
  t.equal(tries, 3);
  t.match(await client.call(calls => calls.Statistics({})), { text: 'here' });
  const refused = clientOn(t, socket, {
    greet: async () => {
      throw new Error('of another age');
    },
  });
  await t.rejects(refused.start(soon()), { message: 'of another age' });
});
