// SPDX-License-Identifier: Apache-2.0
// What CreateVM's annotations are read as.
import t from 'tap';
import { readSandboxSpec } from '../../src/hypervisor/create-request.js';
import { annotations } from '../kit/adaptor.js';

t.test('the nine annotations of a shim become a spec', async t => {
  t.strictSame(readSandboxSpec(annotations('web', 'shop')), {
    pod: 'web',
    namespace: 'shop',
    instanceType: '',
    image: '',
    vcpus: 2,
    memoryMiB: 2048,
    gpus: 0,
    initdata: '',
  });
});

t.test('sizes that are no numbers mean no spec, as upstream reads them', async t => {
  const prefix = 'io.katacontainers.config.hypervisor.';
  const odd = {
    [`${prefix}default_vcpus`]: '-1',
    [`${prefix}default_memory`]: '1e9',
    [`${prefix}default_gpus`]: '1'.repeat(400),
  };
  t.match(readSandboxSpec(annotations('a', 'b', odd)), { vcpus: 0, memoryMiB: 0, gpus: 0 });
});

t.test("CRI-O's long form of the name is cut down to the pod", async t => {
  t.equal(readSandboxSpec(annotations('k8s_web_shop_0a1b_0', 'shop')).pod, 'web');
  t.throws(() => readSandboxSpec(annotations('k8s_', 'shop')), { code: 'ERR_ADAPTOR_REQUEST' });
});

t.test('names that Kubernetes never gives are refused, inherited properties are none', async t => {
  for (const pod of ['a\nb', '\u001b[2J', 'x'.repeat(254), '\u2028']) {
    t.throws(() => readSandboxSpec(annotations(pod)), {
      code: 'ERR_ADAPTOR_REQUEST',
      message: /sandbox-name/,
    });
  }
  t.throws(() => readSandboxSpec({ ['__proto__']: 'x' }), {
    code: 'ERR_ADAPTOR_REQUEST',
    message: /sandbox-name is missing/,
  });
});
