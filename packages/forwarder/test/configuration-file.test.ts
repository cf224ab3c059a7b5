// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

import { readConfigurationFile } from '../src/configuration-file.js';

t.test("the adaptor's file is read, and what it does not know is named", async t => {
  const file = join(t.testdir(), 'apf.json');
  writeFileSync(
    file,
    '{"pod-network": null, "Pod-Name": "p", "tls-server-key": "k", "from-the-future": 1} trailing',
  );
  const read = readConfigurationFile(file);
  t.equal(read.config.podName, 'p');
  t.same(read.unknownKeys, ['from-the-future']);
  t.equal(read.exposedMode, '0644');
  chmodSync(file, 0o600);
  t.equal(readConfigurationFile(file).exposedMode, null);
  writeFileSync(file, '{}');
  chmodSync(file, 0o644);
  t.equal(readConfigurationFile(file).exposedMode, null, 'no key, nothing exposed');
});

t.test("what cannot be opened is refused in upstream's words, with the path and the reason", async t => {
  const base = t.testdir({ directory: {} });
  const fifo = join(base, 'fifo');
  execFileSync('mkfifo', [fifo]);
  const big = join(base, 'big');
  writeFileSync(big, ' '.repeat((1 << 20) + 1));
  for (const [path, reason] of [
    [join(base, 'missing'), /is not there/],
    [join(base, 'directory'), /directory/],
    [fifo, /not a regular file/],
    [big, /bigger than the 1048576 bytes/],
  ] as const) {
    const message = new RegExp(`failed to open.*-config.*${path}.*${reason.source}`);
    t.throws(
      () => readConfigurationFile(path),
      { code: 'ERR_FORWARDER_CONFIG', message, hint: /process-user-data/ },
      path,
    );
  }
});

t.test('what is no configuration is refused as failed to decode', async t => {
  const file = join(t.testdir(), 'apf.json');
  for (const text of ['', '{', '[]', '"x"', '{"tls-server-key": 1}', '{"tls-cipher-suites": "a"}', '\0']) {
    writeFileSync(file, text);
    t.throws(
      () => readConfigurationFile(file),
      { code: 'ERR_FORWARDER_CONFIG', message: /failed to decode/ },
      JSON.stringify(text),
    );
  }
});
