// SPDX-License-Identifier: Apache-2.0
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { grpc } from '@peerpod-tls/agent-protocol';
import { createLogger } from '@peerpod-tls/daemon';
import type { RewriteContext, RewriteOutcome } from '@peerpod-tls/link';
import { StatusCode } from '@peerpod-tls/ttrpc';
import t from 'tap';

import { forwarderRewrites } from '../src/rewrites.js';
import type { RewriteOptions } from '../src/rewrites.js';

const TARGET_PATHS = 'io.confidentialcontainers.org.peerpodvolumes.target_path';

type Spec = Parameters<typeof grpc.Spec.encode>[0];

function request(OCI: Spec | undefined): Buffer {
  return Buffer.from(grpc.CreateContainerRequest.encode({ containerId: 'c1', ...(OCI && { OCI }) }).finish());
}

async function rewritten(
  message: Buffer,
  options: Partial<RewriteOptions> = {},
  context: Partial<RewriteContext> = {},
  method = 'CreateContainer',
): Promise<RewriteOutcome> {
  const log = createLogger({ name: 'test', level: 'silent' });
  const rewrites = forwarderRewrites({ podNamespace: '/run/netns/podns', guestRoot: '/', log, ...options });
  const rewrite = rewrites.find(
    candidate => candidate.service === 'grpc.AgentService' && candidate.method === method,
  );
  if (rewrite === undefined) throw new Error(`no rewrite for ${method}`);
  const { signal } = new AbortController();
  return rewrite.apply(message, { service: rewrite.service, method, signal, timeoutMs: null, ...context });
}

function containerIn(outcome: RewriteOutcome): grpc.CreateContainerRequest {
  if (outcome.t !== 'replaced') throw new Error(`unexpected ${JSON.stringify(outcome)}`);
  return grpc.CreateContainerRequest.decode(outcome.message);
}

t.test("the container joins the pod's network namespace, replacing one it came with", async t => {
  const Namespaces = [
    { Type: 'ipc', Path: '' },
    { Type: 'network', Path: '/elsewhere' },
  ];
  const outcome = containerIn(await rewritten(request({ Linux: { Namespaces } })));
  const network = outcome.OCI?.Linux?.Namespaces?.filter(namespace => namespace.Type === 'network');
  t.match(network, [{ Path: '/run/netns/podns' }]);
  t.equal(network?.length, 1);
});

t.test('without a namespace to join the request passes as it is', async t => {
  t.same(await rewritten(request({ Linux: {} }), { podNamespace: '' }), { t: 'same' });
});

t.test('a request without OCI or Linux is answered InvalidArgument, whatever the namespace', async t => {
  for (const podNamespace of ['/run/netns/podns', '']) {
    const status = StatusCode.invalidArgument;
    t.match(await rewritten(request(undefined), { podNamespace }), { t: 'refused', status, reason: /OCI/ });
    t.match(await rewritten(request({ Hostname: 'h' }), { podNamespace }), {
      t: 'refused',
      status,
      reason: /Linux/,
    });
    t.match(await rewritten(Buffer.from([0x32, 0x7f]), { podNamespace }), { t: 'refused', status });
  }
});

t.test('missing sources of bind mounts are made in the guest, and only those', async t => {
  const guestRoot = t.testdir({ etc: { hosts: '' } });
  const Mounts = [
    { type: 'bind', source: '/run/kata/c1/data', destination: '/data' },
    { type: 'bind', source: '/etc/hosts', destination: '/etc/hosts' },
    { type: 'tmpfs', source: 'tmpfs', destination: '/tmp' },
    { type: 'proc', source: '/made/up', destination: '/proc' },
  ];
  containerIn(await rewritten(request({ Linux: {}, Mounts }), { guestRoot }));
  t.ok(statSync(join(guestRoot, 'run/kata/c1/data')).isDirectory());
  t.notOk(existsSync(join(guestRoot, 'made')));
});

t.test(
  'a source that climbs is refused before anything is made; one that cannot be made is left to the agent',
  async t => {
    const guestRoot = t.testdir({ file: '' });
    for (const source of ['/run/../../etc/cron.d', 'relative', '/nul\0byte', '']) {
      const Mounts = [{ type: 'bind', source, destination: '/x' }];
      const outcome = await rewritten(request({ Linux: {}, Mounts }), { guestRoot });
      t.match(
        outcome,
        { t: 'refused', status: StatusCode.invalidArgument, reason: /source of a mount/ },
        JSON.stringify(source),
      );
    }
    const Mounts = [{ type: 'bind', source: '/file/below', destination: '/x' }];
    containerIn(await rewritten(request({ Linux: {}, Mounts }), { guestRoot }));
  },
);

t.test('a volume listed in target_path is awaited until it is mounted', async t => {
  const base = t.testdir({ mountinfo: '', guest: {} });
  const guestRoot = join(base, 'guest');
  const mountinfo = join(base, 'mountinfo');
  const message = request({
    Linux: {},
    Mounts: [{ type: 'bind', source: '/vol/one', destination: '/v' }],
    Annotations: { [TARGET_PATHS]: ',/vol/other, /vol/one' },
  });
  const outcome = rewritten(message, { guestRoot, mountinfo });
  const settled = await Promise.race([outcome, new Promise(resolve => setTimeout(resolve, 20, 'waiting'))]);
  t.equal(settled, 'waiting');
  writeFileSync(mountinfo, `36 35 98:0 / ${guestRoot}/vol/one rw - ext4 /dev/vdb rw\n`);
  containerIn(await outcome);
  t.ok(existsSync(join(guestRoot, 'vol/one')), 'the mount point was made for whoever mounts');
});

t.test(
  "a volume that never comes is answered DeadlineExceeded, within the caller's own deadline",
  async t => {
    const message = request({
      Linux: {},
      Mounts: [{ type: 'bind', source: '/vol', destination: '/v' }],
      Annotations: { [TARGET_PATHS]: '/vol' },
    });
    const refused = {
      t: 'refused',
      status: StatusCode.deadlineExceeded,
      reason: /nothing was mounted on "\/vol"/,
    } as const;
    t.match(await rewritten(message, { guestRoot: t.testdir(), mountTimeoutMs: 20 }), refused);
    t.match(await rewritten(message, { guestRoot: t.testdir() }, { timeoutMs: 20 }), refused);
    const gone = new AbortController();
    gone.abort();
    await t.rejects(rewritten(message, { guestRoot: t.testdir() }, { signal: gone.signal }), {
      name: 'AbortError',
    });
  },
);

t.test('a container that would lose its cloud volumes does not start', async t => {
  const Annotations = { 'io.confidentialcontainers.org.cloud_volumes': '{"vol-0":{"lun":"0"}}' };
  t.match(await rewritten(request({ Linux: {}, Annotations })), {
    t: 'refused',
    status: StatusCode.failedPrecondition,
    reason: /cloud volumes/,
  });
});

t.test('thousands of mounts are refused', async t => {
  const Mounts = Array.from({ length: 4097 }, (_, n) => ({
    type: 'bind',
    source: `/m${n}`,
    destination: '/x',
  }));
  t.match(await rewritten(request({ Linux: {}, Mounts }), { guestRoot: t.testdir() }), {
    t: 'refused',
    reason: /4097 mounts/,
  });
});

t.test("CreateSandbox keeps everything but the shim's resolver", async t => {
  const sandbox = grpc.CreateSandboxRequest.encode({
    hostname: 'pod',
    dns: ['10.0.0.1', '10.0.0.2'],
    sandboxId: 's',
  }).finish();
  const outcome = await rewritten(Buffer.from(sandbox), {}, {}, 'CreateSandbox');
  if (outcome.t !== 'replaced') throw new Error(outcome.t);
  const left = grpc.CreateSandboxRequest.decode(outcome.message);
  t.match(left, { hostname: 'pod', sandboxId: 's' });
  t.same(left.dns, []);
  t.same(await rewritten(Buffer.from(outcome.message), {}, {}, 'CreateSandbox'), { t: 'same' });
});
