// SPDX-License-Identifier: Apache-2.0
// The annotations the adaptor adds to CreateContainer.
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { grpc } from '@peerpod-tls/agent-protocol';
import { adaptorRewrites, TARGET_PATH } from '../src/rewrites.js';

const CSI = '/var/lib/kubelet/pods/1/volumes/kubernetes.io~csi';
const context = {
  service: 'grpc.AgentService',
  method: 'CreateContainer',
  signal: new AbortController().signal,
  timeoutMs: null,
};

async function annotationsOf(
  oci: { Annotations?: Record<string, string>; Mounts?: { source: string }[] },
  o = { directVolumes: '/nowhere' },
): Promise<Record<string, string> | string> {
  const [rewrite] = adaptorRewrites(o);
  const message = Buffer.from(grpc.CreateContainerRequest.encode({ containerId: 'c', OCI: oci }).finish());
  const outcome = await rewrite?.apply(message, context);
  if (outcome?.t !== 'replaced') return outcome?.t ?? 'no rewrite';
  return { ...grpc.CreateContainerRequest.decode(outcome.message).OCI?.Annotations };
}

t.test('a request that needs nothing passes as it came', async t => {
  t.equal(await annotationsOf({ Annotations: { a: 'b' } }), 'same');
  t.equal(await annotationsOf({ Mounts: [{ source: `${CSI}/v/mount` }] }), 'same');
});

t.test('CSI volumes that the VM mounts are named once each, without the stray comma', async t => {
  const directVolumes = t.testdir({});
  const volumes = [`${CSI}/one/mount`, `${CSI}/twö?/mount`];
  for (const volume of volumes) {
    mkdirSync(
      path.join(
        directVolumes,
        Buffer.from(volume).toString('base64').replaceAll('+', '-').replaceAll('/', '_'),
      ),
    );
  }
  const Mounts = ['/etc/hosts', ...volumes, `${CSI}/not-direct/mount`, 'x'.repeat(5000)].map(source => ({
    source,
  }));
  t.strictSame(await annotationsOf({ Mounts }, { directVolumes }), { [TARGET_PATH]: volumes.join(',') });
  t.strictSame(
    await annotationsOf({ Mounts, Annotations: { [TARGET_PATH]: '/from/the/pod' } }, { directVolumes }),
    { [TARGET_PATH]: volumes.join(',') },
    'what a pod claims does not count',
  );
});

t.test("a pod that asked for GPUs gets all of its VM's", async t => {
  const Annotations = { 'io.katacontainers.config.hypervisor.default_gpus': '1' };
  t.match(await annotationsOf({ Annotations }), { 'cdi.k8s.io/peer-pods': 'nvidia.com/gpu=all' });
});

t.test('what cannot be read is refused with a status', async t => {
  const [rewrite] = adaptorRewrites({ directVolumes: '/nowhere' });
  t.match(await rewrite?.apply(Buffer.from('ffffff', 'hex'), context), { t: 'refused', status: 3 });
  t.match(await rewrite?.apply(Buffer.alloc(0), context), { t: 'refused', status: 3, reason: /OCI/ });
});
