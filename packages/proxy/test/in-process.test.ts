// SPDX-License-Identifier: Apache-2.0
// The data plane through its interface alone: what goes in and comes out is plain data, and a material that is not held
// is nobody's to dial with.
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t, { type Test } from 'tap';
import { healthService } from '@peerpod-tls/agent-protocol';
import { implement, TtrpcServer } from '@peerpod-tls/ttrpc';
import { pino } from 'pino';
import { dialAgent } from '../../../test/kit/shim.js';
import { InProcessDataPlane } from '../src/in-process.js';
import { refusalRule } from '../src/refusal-rule.js';
import type { ProxyEvent, ProxySpec } from '../src/spec.js';

const signal = new AbortController().signal;

/** An agent behind a plain port, as a VM without TLS has it. */
async function plainAgent(t: Test): Promise<number> {
  const server = new TtrpcServer({ services: [implement(healthService, { Check: () => ({ status: 1 }) })] });
  const listener = createServer(socket => void server.serve(socket));
  await new Promise<void>(resolve => listener.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.destroy();
    listener.close();
  });
  const address = listener.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

function dataPlane(t: Test): { plane: InProcessDataPlane; events: ProxyEvent[]; lines: string[] } {
  const events: ProxyEvent[] = [];
  const lines: string[] = [];
  const log = pino({ level: 'info' }, { write: line => void lines.push(line) });
  const plane = new InProcessDataPlane({
    security: material => (material === 'disabled' ? { t: 'plain' } : null),
    onEvent: event => events.push(event),
    log,
  });
  t.teardown(() => plane.drain(AbortSignal.abort()));
  return { plane, events, lines };
}

const throughJson = <T>(value: T): T => JSON.parse(JSON.stringify(value));

function specOf(t: Test, port: number, material = 'disabled'): ProxySpec {
  // Short: a socket path has at most 107 bytes.
  const directory = mkdtempSync(path.join(tmpdir(), 'ppx-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return {
    sandbox: 'one',
    pod: 'default/nginx',
    socket: path.join(directory, 'agent.ttrpc'),
    addresses: ['127.0.0.1'],
    port,
    tls: { material, serverName: '' },
    rewrites: { directVolumes: '/nowhere' },
    limits: { redialBudgetMs: 2000 },
  };
}

t.test('a spec that came as JSON serves a shim, and what is told of it survives JSON', async t => {
  const { plane, events, lines } = dataPlane(t);
  const spec = specOf(t, await plainAgent(t));
  const answer = await plane.awaitAgent(throughJson(spec), { deadlineMs: 5000, signal });
  t.match(answer, { attempts: 1, protocol: 'plain', handshakeMs: 0, names: [] });
  t.strictSame(throughJson(answer), answer);
  await plane.open(throughJson(spec));
  await t.rejects(plane.open(spec), /internal error/, 'once');
  const shim = await dialAgent(spec.socket);
  t.match(await shim.health.Check({}), { status: 1 });
  const views = await plane.views();
  t.match(views, [{ sandbox: 'one', connections: 1, lastClosedAt: null }]);
  t.strictSame(throughJson(views), views);
  t.match(await plane.figures(), /peerpod_calls_total\{method="Check",code="ok"\} 1/);
  t.strictSame(throughJson(events), events);
  await plane.close('one');
  await plane.close('one');
  t.strictSame(await plane.views(), []);
  await t.rejects(dialAgent(spec.socket), 'the socket is gone');
  shim.client.close();
  const said = lines.filter(line => /link verified again|shim connection closed/.test(line));
  t.strictSame(said, [], 'a first link is no second one, and an end that was asked for is no loss');
});

t.test(
  'without the material a sandbox was made with, its VM is not dialled, and its shim is let go',
  async t => {
    const { plane, events, lines } = dataPlane(t);
    const spec = specOf(t, await plainAgent(t), 'automatic');
    await t.rejects(plane.awaitAgent(spec, { deadlineMs: 5000, signal }), {
      code: 'ERR_PROXY_TLS_MODE',
      message: /sandbox one was made in another TLS mode/,
      hint: /TLS options it had/,
    });
    await plane.open(spec);
    const shim = await dialAgent(spec.socket);
    await t.rejects(shim.health.Check({}), 'its connection ends instead of waiting for a redial');
    shim.client.close();
    t.strictSame(events, [{ t: 'connected' }, { t: 'disconnected' }]);
    t.match(lines.join(''), /"code":"ERR_PROXY_TLS_MODE","msg":"shim connection closed"/);
  },
);

t.test('a VM that nobody answers in has refused nothing', async t => {
  const { plane, events } = dataPlane(t);
  const unused = createServer();
  await new Promise<void>(resolve => unused.listen(0, '127.0.0.1', resolve));
  const address = unused.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  await new Promise(resolve => unused.close(resolve));
  const spec = { ...specOf(t, port), limits: { redialBudgetMs: 100 } };
  await t.rejects(plane.awaitAgent(spec, { deadlineMs: 100, signal }));
  await plane.open(spec);
  const shim = await dialAgent(spec.socket);
  await t.rejects(shim.health.Check({}));
  shim.client.close();
  t.strictSame(
    events.filter(event => event.t === 'refused'),
    [],
  );
});

t.test('a refusal is known by its rule or by its code, and nothing else is one', async t => {
  t.equal(refusalRule({ refusal: { rule: 'expired' } }), 'expired');
  t.equal(refusalRule(Object.assign(new Error('x'), { code: 'ERR_LINK_NOT_TLS' })), 'not-tls');
  const others = [undefined, null, 'text', {}, new Error('x'), { refusal: null }, { refusal: 'expired' }];
  for (const other of [...others, { refusal: undefined }, { refusal: {} }, { refusal: { rule: 5 } }])
    t.equal(refusalRule(other), null);
});
