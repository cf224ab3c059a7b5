// SPDX-License-Identifier: Apache-2.0
// The exec provider over scripts that a test writes: a platform of plain files, as quick as a script can be.
import { mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseFlags } from '@peerpod-tls/daemon';
import type { Logger } from 'pino';
import { exec } from '../../src/exec/exec.js';
import type { Instance, InstanceSpec, Provider } from '../../src/provider.js';
import { ownProcesses } from '../../../../test/kit/directory.js';
import { captureLog } from '../../../../test/kit/log.js';

export const { signal } = new AbortController();

export interface ExecWorld {
  readonly directory: string;
  readonly podsDir: string;
  readonly log: ReturnType<typeof captureLog>;
  /** Writes a script of the test's own; gives its path. */
  script(name: string, body: string): string;
  /** A provider with these flags; the second over the same directory is the adaptor after a restart. */
  provider(
    argv: readonly string[],
    o?: { readonly log?: Logger; readonly podsDir?: string },
  ): Promise<Provider>;
  /** Names of the machines that the scripts of `filePlatform` made. */
  machines(): string[];
}

export function makeExecWorld(t: { teardown(after: () => void): unknown }): ExecWorld {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'ex-')));
  t.teardown(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 }));
  // An adaptor's proxies outlive it.
  ownProcesses(t, directory);
  const podsDir = join(directory, 'pods');
  const log = captureLog();
  return {
    directory,
    podsDir,
    log,
    script: (name, body) => {
      const path = join(directory, name);
      writeFileSync(path, `#!/bin/sh\nset -eu\ncd ${directory}\n${body}`, { mode: 0o755 });
      return path;
    },
    provider: async (argv, o = {}) => {
      const parsed = parseFlags({
        program: 'test',
        usage: '',
        flags: exec.flags,
        argv: ['-data-dir', join(directory, 'table'), ...argv],
        env: {},
      });
      if (parsed.t === 'help') throw new Error('unexpected help');
      const context = { log: o.log ?? log.log, podsDir: o.podsDir ?? podsDir, forwarderPort: 15_150 };
      return exec.create(parsed.values, context);
    },
    machines: () => readdirSync(directory).filter(name => name.startsWith('machine-')),
  };
}

/** Reads the document into `machine-<token>` and answers with an address; nothing runs. */
export const CREATE = `
cat >doc
token=$(sed 's/.*"token":"\\([^"]*\\)".*/\\1/' doc)
mv doc "machine-$token"
n=$(($(printf %s "$token" | cksum | cut -d' ' -f1) % 250 + 1))
`;
export const ANSWER = `printf '{"id":"i-%s","name":"n-%s","ips":["192.0.2.%s"]}' "$token" "$token" "$n"\n`;
/** Removes the machine of the id, or of the token where there is no id. */
export const DELETE = `
token=$(sed 's/.*"token":"\\([^"]*\\)".*/\\1/')
[ $# -eq 0 ] || token=\${1#i-}
case $token in */*|'') exit 0;; esac
echo "deleted \${1:-nothing} $token" >>deletions
rm -f "machine-$token"
`;

export function spec(changes: Partial<InstanceSpec> = {}): InstanceSpec {
  return {
    sandbox: 'box1',
    name: 'podvm-web-box1',
    podName: 'web',
    podNamespace: 'default',
    userData: 'the user-data',
    instanceType: '',
    image: '',
    vcpus: 0,
    memoryMiB: 0,
    gpus: 0,
    ...changes,
  };
}

export const idsOf = (instances: readonly Instance[]): string[] => instances.map(({ id }) => id).sort();
