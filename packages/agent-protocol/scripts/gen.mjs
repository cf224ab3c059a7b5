// SPDX-License-Identifier: Apache-2.0
// Makes gen/ from proto/: message classes for the wire, and the same schema as plain data for JSON in and out.
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import cli from 'protobufjs-cli';

const pbjs = promisify(cli.pbjs.main);
process.chdir(fileURLToPath(new URL('..', import.meta.url)));
mkdirSync('gen', { recursive: true });

const file = name => `proto/${name}.proto`;
// What people and tools may call by name, in JSON.
const callable = ['hypervisor', 'podvminfo', 'operator', 'health', 'agent'].map(file);
/**
 * Files of messages, each with a root of its own: two packages generated into protobufjs's default root overwrite each
 * other's types. A proxy loads its own few, and not the agent's many.
 */
const sets = {
  messages: ['podvminfo', 'operator', 'health', 'agent'].map(file),
  'proxy-messages': ['hypervisor', 'proxy'].map(file),
};
const shape = ['-t', 'static-module', '-w', 'esm', '-p', 'proto', '--force-long'];
const lean = ['create', 'delimited', 'typeurl', 'service', 'verify', 'convert'].map(part => `--no-${part}`);

// Twice: the declarations are read out of the comments, and the comments are three quarters of the code.
for (const [name, sources] of Object.entries(sets)) {
  const into = ['-r', `peerpod_${name}`, '-o', `gen/${name}.js`, ...sources];
  await pbjs([...shape, ...lean, '--dts', ...into]);
  await pbjs([...shape, ...lean, '--no-comments', ...into]);
}

const schema = JSON.parse(await pbjs(['-t', 'json', '-p', 'proto', '--keep-case', ...callable]));
writeFileSync('gen/schema.js', `export const schema = ${JSON.stringify(schema, null, 1)}\n`);
writeFileSync(
  'gen/schema.d.ts',
  "import type { INamespace } from 'protobufjs';\nexport declare const schema: INamespace;\n",
);
