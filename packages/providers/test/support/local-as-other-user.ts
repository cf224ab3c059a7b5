// SPDX-License-Identifier: Apache-2.0
// Run by local.test.ts under another user: makes a local pod VM from the user-data on stdin, asks its agent, deletes it.
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { healthService } from '@peerpod-tls/agent-protocol';
import { createLogger, parseFlags } from '@peerpod-tls/daemon';
import { clientOf, connectUnix } from '@peerpod-tls/ttrpc';

import { ownerName } from '../../src/host/data-dir.js';
import { processesOf } from '../../src/host/vm-processes.js';
import { defaultDataDir } from '../../src/local/flags.js';
import { local } from '../../src/local/local.js';

const [directory = '', port = ''] = process.argv.slice(2);
const { signal } = new AbortController();
const podsDir = join(directory, 'pods');
const log = createLogger({ name: 'test', level: 'warn' });
const parsed = parseFlags({ program: 'test', usage: '', flags: local.flags, argv: [], env: {} });
if (parsed.t === 'help') throw new Error('unexpected help');
const provider = await local.create(parsed.values, { log, podsDir, forwarderPort: Number(port) });
await provider.verify?.(signal);
const spec = {
  sandbox: 's',
  name: 'podvm-other',
  podName: 'pod',
  podNamespace: 'default',
  userData: await text(process.stdin),
  instanceType: '',
  image: '',
  vcpus: 0,
  memoryMiB: 0,
  gpus: 0,
};
const instance = await provider.createInstance(spec, { token: 's.1', signal });
const uid = process.getuid?.() ?? 0;
const dataDir = defaultDataDir(process.env, uid);
const vm = join(dataDir, ownerName(podsDir), instance.id);
const client = await connectUnix(join(vm, 'fs/run/kata-containers/agent.sock'));
const { status } = await clientOf(healthService, client).Check({});
client.close();
await provider.deleteInstance(instance.id, signal);
const listed = (await provider.listInstances(signal)).length;
process.stdout.write(JSON.stringify({ uid, agent: status, left: processesOf(vm), listed, dataDir }));
