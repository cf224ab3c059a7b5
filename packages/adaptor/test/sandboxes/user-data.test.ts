// SPDX-License-Identifier: Apache-2.0
// The user-data of a VM: read back by the code that reads it in the guest.
import { randomUUID } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import t from 'tap';
import { parseApf, parseCloudConfig } from '@peerpod-tls/user-data';
import { readSandboxSpec } from '../../src/hypervisor/create-request.js';
import { writeUserData, type UserData, type UserDataOptions } from '../../src/sandboxes/user-data.js';
import type { Sandbox } from '../../src/sandboxes/sandbox.js';
import { annotations } from '../kit/adaptor.js';

const INITDATA = 'io.katacontainers.config.hypervisor.cc_init_data';

function userData(o: Partial<UserDataOptions> = {}, more: Record<string, string> = {}): UserData {
  const since = new Date().toISOString();
  const sandbox: Sandbox = {
    id: 'a',
    spec: readSandboxSpec(annotations('we<b', 'shop', more)),
    networkNamespace: '',
    instanceName: 's',
    link: { tls: 'automatic', serverName: 's', port: 1 },
    createdAt: since,
    leaf: null,
    generation: 1,
    state: { t: 'created', since },
  };
  return writeUserData({ sandbox, tls: {}, initdata: '', scratchSpace: false, maxBytes: 1_048_576, ...o });
}

t.test(
  'apf.json says who the pod is, always has a pod-network, and carries the TLS part as it is',
  async t => {
    const tls = {
      tlsServerKey: 'KEY\n',
      tlsServerCert: 'CERT\n',
      tlsClientCa: 'CA\n',
      tlsMinVersion: 'VersionTLS13',
    };
    const { text, bytes, files } = userData({ tls });
    t.equal(bytes, Buffer.byteLength(text));
    t.strictSame(files, ['/run/peerpod/apf.json']);
    const [file] = parseCloudConfig(text);
    const { config, unknownKeys } = parseApf(file?.content ?? '');
    t.match(config, { podName: 'we<b', podNamespace: 'shop', sandboxId: 'a', ...tls });
    t.strictSame(unknownKeys, []);
    t.equal(config.podNetwork, null, 'our forwarder sees that no tunnel leads here');
    t.match(
      JSON.parse(file?.content ?? ''),
      { 'pod-network': { 'tunnel-type': 'vxlan', 'worker-node-ip': '127.0.0.1/32' } },
      "upstream's forwarder ends without a tunnel it can make",
    );
  },
);

t.test("initdata of the pod goes before the adaptor's own; both arrive packed", async t => {
  const toml = 'algorithm = "sha256"\nversion = "0.1.0"\n';
  const own = userData({ initdata: 'T1dO' });
  t.match(parseCloudConfig(own.text)[1], { path: '/run/peerpod/initdata', content: /^T1dO\n?$/ });
  const brought = userData({ initdata: 'T1dO', scratchSpace: true }, { [INITDATA]: toml });
  const files = parseCloudConfig(brought.text);
  t.strictSame(
    files.map(file => file.path),
    ['/run/peerpod/apf.json', '/run/peerpod/initdata', '/run/peerpod/scratch-space.marker'],
  );
  t.equal(gunzipSync(Buffer.from(files[1]?.content ?? '', 'base64')).toString(), toml);
});

t.test('user-data the platform would not take is refused with its size', async t => {
  t.throws(() => userData({ maxBytes: 100 }), {
    code: 'ERR_ADAPTOR_USER_DATA_TOO_BIG',
    message: /has \d+ bytes, the provider takes 100: \/run\/peerpod\/apf\.json \d+ bytes$/,
  });
  const noise = Array.from({ length: 2000 }, () => randomUUID()).join('');
  const toml = `algorithm = "sha256"\nversion = "0.1.0"\n[data]\n"aa.toml" = "${noise}"\n`;
  t.throws(() => userData({ maxBytes: 16_384 }, { [INITDATA]: toml }), {
    message: /takes 16384: \/run\/peerpod\/initdata \d{5} bytes, \/run\/peerpod\/apf\.json \d{3} bytes$/,
    hint: /shorten the initdata/,
  });
  const { bytes } = userData({}, { [INITDATA]: toml });
  t.equal(userData({ maxBytes: bytes }, { [INITDATA]: toml }).bytes, bytes);
  t.throws(() => userData({ maxBytes: bytes - 1 }, { [INITDATA]: toml }), {
    code: 'ERR_ADAPTOR_USER_DATA_TOO_BIG',
  });
});

t.test('initdata that the guest would refuse is refused before there is a guest', async t => {
  for (const [toml, message] of [
    ['algorithm = "md5"\nversion = "0.1.0"\n', /algorithm "md5"/],
    ['algorithm = "sha256"\nversion = "9"\n', /version "9"; it must be 0\.1\.0/],
    ['S3CR3T', /not TOML/],
    [
      'algorithm = "sha256"\nversion = "0.1.0"\n[data]\n"aa.toml" = ""\n"./aa.toml" = ""\n',
      /two entries for \/run\/peerpod\/aa\.toml/,
    ],
  ] as const) {
    t.throws(() => userData({}, { [INITDATA]: toml }), {
      code: 'ERR_ADAPTOR_INITDATA',
      message,
      hint: /cc_init_data/,
    });
  }
});
