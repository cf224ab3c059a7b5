// SPDX-License-Identifier: Apache-2.0
// The parts of the docker provider that need no engine: flags, the tar archive, the console's frames, and an engine that
// is absent, silent or talks nonsense (a small HTTP server on a Unix socket stands for it).
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { createServer as createTcp } from 'node:net';
import path from 'node:path';
import { Authority } from '@peerpod-tls/certs';
import { assert, asyncProperty, property, string, uint8Array } from 'fast-check';
import t from 'tap';
import { consoleText, containerBody, secondName } from '../src/docker/container.js';
import { field, textIn } from '../src/docker/field.js';
import { userDataArchive } from '../src/docker/user-data.js';
import { captureLog, temporary } from '../../../test/kit/log.js';
import { userDataIn, makeProvider, specOf } from './kit/docker-world.js';

const never = new AbortController().signal;
const { log } = captureLog();
const create = { token: 'one.1', signal: never };

await t.test('flags that could not work are refused at start, each with what to give instead', async t => {
  for (const [flags, message] of [
    [['-docker-host=ssh://me@host'], /ssh:\/\//],
    [['-docker-host=unix://relative'], /names no absolute path/],
    [['-docker-host=tcp://user@host:1'], /-docker-host/],
    [['-docker-host=nonsense'], /-docker-host/],
    [['-docker-host=tcp://h:1', '-docker-tls-verify'], /-docker-cert-path/],
    [['-docker-host=tcp://h:1', '-docker-cert-path=/no/such'], /\/no\/such\/ca\.pem is not there/],
    [['-docker-host=tcp://h:1', '-docker-user-data=mount'], /needs an engine on this host/],
    [['-docker-api-version=latest'], /-docker-api-version/],
    [['-docker-network-name=host'], /no address of its own/],
    [['-docker-network-name=container:x'], /no address of its own/],
    [['-docker-owner=../x'], /-docker-owner/],
    [['-docker-user-data=mount', '-data-dir=user-data'], /not an absolute path/],
    [['-docker-user-data=mount', '-data-dir=/run/pods/x'], /lies in the pods directory/],
    [['-docker-mount=certificates'], /is not SOURCE:TARGET/],
    [['-docker-mount=a:/b:rw'], /is not SOURCE:TARGET/],
    [['-docker-mount=a:/b/../c'], /is not SOURCE:TARGET/],
    [['-docker-capabilities=net admin'], /-docker-capabilities/],
    [['-forwarder-options=-listen 1'], /may hold no space/],
  ] as const) {
    await t.rejects(
      makeProvider(log, flags),
      { code: 'ERR_PROVIDER_CONFIG', message, hint: /./ },
      flags.join(' '),
    );
  }
});

await t.test('an engine over tcp without TLS, and privileged pod VMs, are warned of', async t => {
  const seen = captureLog();
  await makeProvider(seen.log, ['-docker-host=tcp://127.0.0.1:2375', '-docker-privileged']);
  t.match(seen.text(), 'without TLS');
  t.match(seen.text(), '-docker-privileged');
});

await t.test('what is asked of the engine follows the flags and the request', t => {
  const plan = {
    image: 'i',
    network: 'n',
    owner: 'o',
    token: 't',
    privileged: false,
    capabilities: ['NET_ADMIN'],
    port: 1234,
    forwarderOptions: ['-a', '-b=c'],
    mounts: [{ type: 'volume', source: 'v', target: '/t' }],
    userData: '/l',
    processors: 2,
  } as const;
  const body = containerBody(specOf('x', 'the user-data', { vcpus: 8, memoryMiB: 1 }), plan);
  t.match(body, { Image: 'i', Env: ['FORWARDER_PORT=1234', 'FORWARDER_OPTIONS=-a -b=c'] });
  t.match(field(body, 'HostConfig'), {
    NanoCpus: 2e9,
    Memory: 6 << 20,
    CapDrop: ['ALL'],
    CapAdd: ['NET_ADMIN'],
    SecurityOpt: ['no-new-privileges'],
    PidsLimit: 4096,
    Tmpfs: { '/run/peerpod': /noexec,nosuid,nodev/ },
    Mounts: [
      { Type: 'volume', Source: 'v', Target: '/t', ReadOnly: true },
      { Type: 'bind', Source: '/l', Target: '/media/cidata/user-data', ReadOnly: true },
    ],
  });
  t.equal(field(body, 'HostConfig', 'Privileged'), undefined);
  t.notMatch(JSON.stringify(body), 'the user-data');
  const privileged = field(containerBody(specOf('x', ''), { ...plan, privileged: true }), 'HostConfig');
  t.equal(field(privileged, 'Privileged'), true);
  t.equal(field(privileged, 'CapDrop'), undefined);
  t.equal(field(privileged, 'NanoCpus'), undefined, 'nothing asked, no limit');
  t.not(secondName('podvm-a', 'one'), secondName('podvm-a', 'two'));
  t.end();
});

await t.test('the archive is unpacked by tar as one file for its owner, byte for byte', async t => {
  const directory = temporary(t);
  await assert(
    asyncProperty(string({ maxLength: 2000, unit: 'binary' }), async text => {
      const userData = Buffer.from(text, 'utf8').toString('utf8');
      const folder = path.join(directory, String(Math.random()).slice(2));
      mkdirSync(folder);
      execFileSync('tar', ['-xpf', '-', '-C', folder], { input: userDataArchive(userData) });
      const file = path.join(folder, 'media/cidata/user-data');
      t.equal(readFileSync(file, 'utf8'), userData);
      t.equal(statSync(file).mode & 0o777, 0o400);
    }),
    { numRuns: 20 },
  );
});

await t.test('the console is readable whatever the guest wrote, and moves no cursor', t => {
  const frame = (stream: number, text: string): Buffer => {
    const head = Buffer.alloc(8);
    head[0] = stream;
    head.writeUInt32BE(Buffer.byteLength(text), 4);
    return Buffer.concat([head, Buffer.from(text)]);
  };
  t.equal(consoleText(Buffer.concat([frame(1, 'one\n'), frame(2, '\u001b[2Jtwo\r\n')])), 'one\n[2Jtwo');
  t.equal(consoleText(Buffer.from('no frames at all\n')), 'no frames at all');
  t.equal(consoleText(Buffer.alloc(0)), '');
  t.equal(consoleText(frame(1, 'x'.repeat(100)), 10).length, 10);
  assert(
    property(uint8Array({ maxLength: 200 }), bytes => {
      // oxlint-disable-next-line no-control-regex
      return !/[\u0000-\u0008\u000b-\u001f\u007f]/.test(consoleText(Buffer.from(bytes)));
    }),
  );
  t.end();
});

await t.test('an engine that is not there is named, with how to start it', async t => {
  const directory = temporary(t);
  const provider = (host: string) =>
    makeProvider(log, [`-docker-host=${host}`, `-data-dir=${directory}/seeds`, '-docker-user-data=copy']);
  const absent = await provider(`unix://${directory}/none.sock`);
  await t.rejects(absent.verify?.(never) ?? Promise.resolve(), {
    code: 'ERR_PROVIDER_UNAVAILABLE',
    message: /the socket does not exist/,
    hint: /systemctl start docker/,
  });
  await t.rejects(absent.createInstance(specOf('a', 'the user-data'), create), {
    code: 'ERR_PROVIDER_UNAVAILABLE',
    message: /podvm-a was not made: there is no Docker Engine at unix:/,
  });
  await t.rejects(absent.check(never), {
    code: 'ERR_PROVIDER_UNAVAILABLE',
    message: /there is no Docker Engine/,
  });
  await t.rejects(absent.listInstances(never), { code: 'ERR_PROVIDER_UNAVAILABLE' });
  await t.rejects(absent.deleteInstance('0123456789abcdef', never), { code: 'ERR_PROVIDER_UNAVAILABLE' });
  const closed = createTcp();
  await new Promise<void>(resolve => closed.listen(0, '127.0.0.1', resolve));
  const address = closed.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  await new Promise(resolve => closed.close(resolve));
  const refused = await provider(`tcp://127.0.0.1:${port}`);
  await t.rejects(refused.listInstances(never), { message: /is not running/, hint: /-docker-host/ });
});

/** An engine that answers as told. */
async function engine(
  t: { teardown(after: () => unknown): unknown },
  answer: RequestListener,
): Promise<{ readonly flags: string[]; readonly directory: string }> {
  const directory = temporary(t);
  const server = createServer(answer);
  await new Promise<void>(resolve => server.listen(path.join(directory, 'd.sock'), resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const flags = [`-docker-host=unix://${directory}/d.sock`, `-data-dir=${directory}/seeds`];
  return { flags, directory };
}

await t.test('an engine over TLS is checked by name and authority, and shown our certificate', async t => {
  const directory = temporary(t);
  const [ours, other] = [await Authority.create(), await Authority.create()];
  const server = await ours.issue('server', { names: ['localhost'] });
  const client = await ours.issue('client', {});
  const pair = (at: string, ca: string) => {
    mkdirSync(path.join(directory, at));
    const files = { 'ca.pem': ca, 'cert.pem': client.certPem, 'key.pem': client.keyPem };
    for (const [name, text] of Object.entries(files)) writeFileSync(path.join(directory, at, name), text);
    return `-docker-cert-path=${directory}/${at}`;
  };
  const heard: (string | undefined)[] = [];
  const listener = createHttps(
    {
      key: server.keyPem,
      cert: server.certPem,
      ca: ours.certPem,
      requestCert: true,
      rejectUnauthorized: true,
    },
    (request, response) => {
      heard.push(request.url);
      response.end('[]');
    },
  );
  await new Promise<void>(resolve => listener.listen(0, '127.0.0.1', resolve));
  t.teardown(() => listener.close());
  const address = listener.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const host = `-docker-host=tcp://localhost:${port}`;
  const right = await makeProvider(log, [host, pair('right', ours.certPem), '-docker-api-version=1.41']);
  t.same(await right.listInstances(never), []);
  t.match(heard, [/^\/v1\.41\/containers\/json\?all=1&filters=/]);
  const unavailable = (message: RegExp) => ({
    code: 'ERR_PROVIDER_UNAVAILABLE',
    message,
    hint: /-docker-cert-path/,
  });
  const stranger = await makeProvider(log, [host, pair('stranger', other.certPem)]);
  await t.rejects(stranger.check(never), unavailable(/cannot be reached: .*certificate/));
  const elsewhere = await makeProvider(log, [
    `-docker-host=tcp://127.0.0.1:${port}`,
    `-docker-cert-path=${directory}/right`,
  ]);
  await t.rejects(elsewhere.check(never), unavailable(/does not match certificate's altnames/));
  const plain = await makeProvider(log, [host]);
  await t.rejects(plain.check(never), { code: 'ERR_PROVIDER_UNAVAILABLE' });
  t.equal(heard.length, 1, 'nobody else was heard');
});

await t.test(
  'a network that is gone is the reason why no pod could start, the default image a reason not to begin',
  async t => {
    const gone = new Set<string>();
    const { flags } = await engine(t, (request, response) => {
      const part = request.url?.split('/')[1] ?? '';
      response.writeHead(gone.has(part) ? 404 : 200).end('{"message":"no such thing"}');
    });
    const provider = await makeProvider(log, flags);
    await t.resolves(provider.check(never));
    gone.add('networks');
    const missing = { code: 'ERR_PROVIDER_UNAVAILABLE', hint: /docker/ };
    await t.rejects(provider.check(never), { ...missing, message: 'the engine has no network bridge' });
    gone.clear();
    gone.add('images');
    await t.resolves(provider.check(never), 'pods that name their own image can start');
    await t.rejects(provider.verify?.(never) ?? Promise.resolve(), {
      ...missing,
      message: 'the engine has no image peerpod-pod-vm',
    });
    gone.clear();
    await t.resolves(provider.verify?.(never) ?? Promise.reject(new Error('there is nothing to verify')));
  },
);

await t.test('an engine that talks nonsense is refused, and nothing of the user-data stays', async t => {
  for (const [says, message] of [
    ['not json', /answered with no list/],
    ['{"a":1}', /answered with no list/],
    ['[1,null,{"Id":5}]', /no id for it|was not made/],
  ] as const) {
    const { flags, directory } = await engine(t, (_request, response) => response.end(says));
    const provider = await makeProvider(log, [...flags, '-docker-user-data=mount']);
    await t.rejects(provider.createInstance(specOf('a', 'the user-data'), create), {
      code: 'ERR_PROVIDER_CREATE',
      message,
    });
    t.same(userDataIn(directory), []);
  }
});

await t.test('the engine’s own sentence reaches the operator, with a way out where we know one', async t => {
  for (const [status, sentence, expected] of [
    [
      500,
      'write /x: no space left on device',
      {
        code: 'ERR_PROVIDER_DISK_FULL',
        message: /disk is full: there is no free space in \/ \(\d.* free\): write \/x/,
        hint: /docker system df/,
      },
    ],
    [
      400,
      'invalid mount config for type "bind": bind source path does not exist: /r',
      { hint: /user-data=copy/ },
    ],
    [
      400,
      'client version 1.99 is too new. Maximum supported API version is 1.41',
      { hint: /-docker-api-version/ },
    ],
    [500, 'something of its own', { message: /answered 500: something of its own/ }],
  ] as const) {
    const { flags } = await engine(t, (request, response) => {
      if (request.url?.includes('/json') === true) return response.end('[]');
      if (request.url === '/info') return response.end('{"DockerRootDir":"/"}');
      response.writeHead(status, { 'content-type': 'application/json' });
      return response.end(JSON.stringify({ message: sentence }));
    });
    const provider = await makeProvider(log, flags);
    await t.rejects(provider.createInstance(specOf('a', 'the user-data'), create), {
      code: 'ERR_PROVIDER_CREATE',
      ...expected,
    });
  }
});

await t.test('an engine that hangs is given up with the caller', async t => {
  const heard = { resolve: () => {} };
  const asked = new Promise<void>(resolve => (heard.resolve = resolve));
  const { flags } = await engine(t, () => heard.resolve());
  const provider = await makeProvider(log, flags);
  const caller = new AbortController();
  const listing = provider.listInstances(caller.signal);
  const outcome = listing.then(
    () => null,
    (error: unknown) => error,
  );
  await asked;
  caller.abort();
  t.equal(textIn(await outcome, 'code'), 'ERR_PROVIDER_ABORTED');
});

await t.test('a container that cannot be removed is handed to the caller, who tries again', async t => {
  const id = 'c'.repeat(64);
  const made = { done: false };
  const { flags } = await engine(t, (request, response) => {
    const json = (status: number, body: unknown) => response.writeHead(status).end(JSON.stringify(body));
    const url = request.url ?? '';
    if (url.startsWith('/containers/json')) return json(200, made.done ? [{ Id: id }] : []);
    if (url.startsWith('/containers/create')) {
      made.done = true;
      return json(201, { Id: id });
    }
    if (request.method === 'DELETE') return json(500, { message: 'device or resource busy' });
    return json(500, { message: 'start failed' });
  });
  const provider = await makeProvider(log, [...flags, '-docker-user-data=copy']);
  await t.rejects(provider.createInstance(specOf('a', 'the user-data'), create), {
    code: 'ERR_PROVIDER_CREATE',
    message: /start failed/,
    instance: { id },
  });
});

await t.test('a data directory of somebody else’s is refused', async t => {
  const directory = temporary(t);
  writeFileSync(path.join(directory, 'file'), '');
  const { flags } = await engine(t, (_request, response) => response.end('{}'));
  const provider = await makeProvider(log, [
    ...flags,
    '-docker-user-data=mount',
    `-data-dir=${directory}/file`,
  ]);
  await t.rejects(provider.verify?.(never) ?? Promise.resolve(), { code: /^ERR_/, message: /file/ });
});
