// SPDX-License-Identifier: Apache-2.0
// StartVM against every wrong kind of pod VM, made of real forwarders wherever one can be brought to it: the shim's error
// says which of them it was, what no waiting heals ends at once, and the VM is deleted.
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import t from 'tap';
import { Authority } from '@peerpod-tls/certs';
import { startInProcess } from '../../kit/adaptor-in-process.js';
import { Cable } from '../../kit/cable.js';
import { CabledProvider, type CabledOptions } from '../../kit/cabled-provider.js';
import { daysAgo, MANUAL_NAME, manualWorld, pairFlags, writePair } from '../../kit/certificates.js';
import { temporary } from '../../kit/directory.js';
import { annotations, startPod, status } from '../../kit/shim.js';

const PROXY_TIMEOUT_MS = 3_000;
/** How the text begins when a start was tried again until -proxy-timeout. */
const TRIED_AGAIN = /within \d+ ms and (?:1 try|\d+ tries)/;

interface Row {
  readonly what: string;
  readonly status: number;
  readonly text: RegExp;
  /** Waiting does not help this one: the start ends at the first try. */
  readonly atOnce: boolean;
  readonly options?: CabledOptions;
  /** The far end of the cable, when it is no forwarder. */
  readonly port?: number;
  readonly host?: string;
  readonly before?: () => Promise<void>;
}

t.test('each kind of VM that cannot be used is told by its own words', { timeout: 120_000 }, async t => {
  const directory = temporary(t);
  const world = await manualWorld(directory);
  const stranger = await Authority.create({ subject: { CN: 'stranger' } });
  const strangerFile = join(directory, 'stranger.crt');
  writeFileSync(strangerFile, stranger.certPem);
  const pair = async (name: string, authority: Authority, dns: string) =>
    writePair(directory, name, await authority.issue('server', { names: [dns] }));
  const forwarder = (flags: readonly string[]): CabledOptions => ({
    forwarderFlags: flags,
    boot: async vm => {
      await vm.provision();
      await vm.startForwarder();
    },
  });

  // A forwarder refuses to serve these, so a TLS server of Node's stands in for a broken one.
  const expired = await world.authority.issue('server', {
    names: [MANUAL_NAME],
    now: daysAgo(30),
    lifetimeDays: 1,
  });
  const future = await world.authority.issue('server', {
    names: [MANUAL_NAME],
    now: daysAgo(-1),
  });
  const listening = async (server: Server): Promise<number> => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.teardown(() => server.close());
    return (server.address() as AddressInfo).port;
  };
  const tls = (leaf: { certPem: string; keyPem: string }): Promise<number> =>
    listening(
      createTlsServer({ cert: leaf.certPem, key: leaf.keyPem }, socket => socket.on('error', () => {})),
    );
  const silent = createTcpServer(socket => socket.on('error', () => {}));

  const provider = new CabledProvider(t, directory, '127.0.0.1');
  let port = 0;
  const cable = await Cable.plug(t, '127.0.0.1', 0, () =>
    port === 0 ? provider.far() : { host: '127.0.0.1', port },
  );
  const none: CabledOptions = { boot: async () => {} };

  const rows: readonly Row[] = [
    {
      what: 'another CA',
      status: 16,
      text: /refused the server at .*stranger.*podvm_root_ca/s,
      atOnce: true,
      options: forwarder(pairFlags(world.caFile, await pair('s1', stranger, MANUAL_NAME))),
    },
    {
      what: 'another name',
      status: 16,
      text: /refused the server at .*podvm-server.*podvm-other|podvm-other.*podvm-server/,
      atOnce: true,
      options: forwarder(pairFlags(world.caFile, await pair('s2', world.authority, 'podvm-other'))),
    },
    {
      what: 'expired',
      status: 16,
      text: /podvm-server .*(expired|was valid until) .*clock here says/,
      atOnce: true,
      options: none,
      port: await tls(expired),
    },
    {
      what: 'not yet valid',
      status: 16,
      text: /podvm-server .* is valid from .*clock here says/,
      atOnce: true,
      options: none,
      port: await tls(future),
    },
    {
      what: 'a plain port',
      status: 9,
      text: /does not speak TLS .*is -disable-tls set on the other side/,
      atOnce: true,
      options: { forwarderFlags: ['-disable-tls'] },
    },
    {
      what: 'a VM that trusts another client CA',
      status: 16,
      text: /closed the link right after the handshake .*refused our certificate CN=podvm_client/,
      atOnce: true,
      options: forwarder(pairFlags(strangerFile, world.server)),
    },
    {
      what: 'a closed port',
      status: 14,
      text: /nobody listens on 127\.0\.0\.1:\d+/,
      atOnce: false,
      options: none,
      before: () => cable.cut(),
    },
    {
      what: 'no route',
      status: 14,
      text: /there is no way to 224\.0\.0\.1:\d+/,
      atOnce: false,
      options: none,
      host: '224.0.0.1',
    },
    {
      what: 'a port that never speaks',
      status: 4,
      text: /took the connection, and did not finish the TLS handshake in time/,
      atOnce: false,
      options: none,
      port: await listening(silent),
    },
    {
      what: 'an agent that never answers',
      status: 14,
      text: /the link to .* stands, and nobody answered a call in time/,
      atOnce: false,
      options: {
        forwarderFlags: world.forwarderFlags,
        boot: async vm => {
          await vm.boot();
          vm.agent.child.kill('SIGSTOP');
        },
      },
    },
    {
      what: 'an agent that is down',
      status: 14,
      text: /is down: the kata-agent did not accept a connection on .*agent\.sock/,
      atOnce: false,
      options: forwarder([...world.forwarderFlags, '-agent-timeout=300ms']),
    },
  ];
  const rig = await startInProcess(t, {
    directory,
    provider,
    port: cable.port,
    flags: [...world.adaptorFlags, `-proxy-timeout=${PROXY_TIMEOUT_MS / 1000}s`],
  });
  for (const [index, row] of rows.entries()) {
    await t.test(row.what, async t => {
      await cable.mend();
      provider.options = row.options ?? {};
      provider.host = row.host ?? '127.0.0.1';
      port = row.port ?? 0;
      await row.before?.();
      const id = `row${index}`;
      await rig.hypervisor.CreateVM({ id, annotations: annotations('p'), networkNamespacePath: '' });
      const began = Date.now();
      const failure: unknown = await rig.hypervisor.StartVM({ id }).then(
        () => null,
        (error: unknown) => error,
      );
      const ms = Date.now() - began;
      t.match(failure, status(row.status, row.text));
      t.equal(TRIED_AGAIN.test(String(failure)), !row.atOnce, 'tried again only where that may help');
      t.ok(ms < PROXY_TIMEOUT_MS + 3_000, `ended after ${ms} ms`);
      t.strictSame(await provider.listInstances(), [], 'its VM is deleted');
      await rig.hypervisor.StopVM({ id });
    });
  }
  await cable.mend();
  provider.options = { forwarderFlags: world.forwarderFlags };
  provider.host = '127.0.0.1';
  port = 0;
  await t.resolves(startPod(rig.hypervisor, 'good'), 'and after all that a good VM is started');
});
