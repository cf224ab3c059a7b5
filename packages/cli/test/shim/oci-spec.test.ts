// SPDX-License-Identifier: Apache-2.0
import { jsonToMessage, messageToJson } from '@peerpod-tls/agent-protocol';
import t from 'tap';
import { ociSpec } from '../../src/shim/oci-spec.js';

const request = {
  id: 'c',
  sandbox: 's',
  podName: 'web',
  args: ['true'],
  env: ['A=b'],
  cwd: '/',
  rootfs: '/',
};

t.test(
  'the spec has what kata-agent needs to start a container and nothing that a shim takes out',
  async t => {
    const spec = ociSpec(request);
    t.strictSame(
      spec.Mounts.map(({ destination, type }) => `${destination} ${type}`),
      [
        '/proc proc',
        '/dev tmpfs',
        '/dev/pts devpts',
        '/dev/shm tmpfs',
        '/dev/mqueue mqueue',
        '/sys sysfs',
        '/sys/fs/cgroup cgroup',
        '/run tmpfs',
      ],
      'a mount below another comes after it',
    );
    const namespaces = spec.Linux.Namespaces.map(({ Type }) => Type);
    t.strictSame(namespaces, ['ipc', 'uts', 'mount'], 'the agent adds pid, the forwarder network');
    t.equal(spec.Root.Path, '/');
    t.ok(spec.Process.Capabilities.Bounding.includes('CAP_SETUID'), 'root in the container is not powerless');
    t.notOk(spec.Process.Capabilities.Bounding.includes('CAP_SYS_ADMIN'), 'nor almighty');
    t.strictSame(spec.Process.Env, [
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'HOSTNAME=web',
      'A=b',
    ]);
    t.strictSame(ociSpec({ ...request, env: ['PATH=/x'] }).Process.Env, ['HOSTNAME=web', 'PATH=/x']);
  },
);

t.test('every field of it is one that the agent knows', async t => {
  const OCI = ociSpec(request);
  const bytes = jsonToMessage('grpc.AgentService/CreateContainer', { container_id: 'c', OCI });
  const again = JSON.stringify(messageToJson('grpc.AgentService/CreateContainer', bytes, 'request'));
  for (const path of [
    '/dev/mqueue',
    'CAP_NET_BIND_SERVICE',
    '/proc/sysrq-trigger',
    'pod_container',
    'size=67108864',
  ]) {
    t.ok(again.includes(path), path);
  }
});
