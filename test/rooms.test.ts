// SPDX-License-Identifier: Apache-2.0
// The table of rooms, held against the real imports, and against trees made to break it.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { complaints, importsOf } from '../scripts/rooms.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/** A tree with one package of ours and the given source. */
function tree(
  top: string,
  name: string,
  dependencies: Record<string, string>,
  source: string,
  at = 'index.ts',
): string {
  const files = {
    [`packages/${name}/package.json`]: JSON.stringify({ name: `@peerpod-tls/${name}`, dependencies }),
    [`packages/${name}/src/${at}`]: source,
  };
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(top, path)), { recursive: true });
    writeFileSync(join(top, path), text);
  }
  return top;
}

t.test('every package uses only the rooms it may use, and declares what it uses', async t => {
  t.strictSame(complaints(root), []);
});

t.test('an import of a sibling that is not in the table is named', async t => {
  const top = tree(
    t.testdir(),
    'certs',
    { '@peerpod-tls/link': '0.1.0' },
    "import { dialLink } from '@peerpod-tls/link';\n",
  );
  t.match(complaints(top), [/certs\/src\/index\.ts imports @peerpod-tls\/link; certs may use base/]);
});

t.test('a TLS socket outside the link package is named', async t => {
  const top = tree(t.testdir(), 'forwarder', {}, "import tls from 'node:tls';\n");
  t.match(complaints(top), [/imports node:tls, which is the business of link/]);
});

t.test('a provider that uses another provider, or the registry, is named; what is common is not', async t => {
  const source = `
    import { Engine } from '../docker/engine.js'; import { providers } from '../registry.js';
    import { ProviderError } from '../errors.js'; import type { Provider } from '../provider.js';
    import { lastLines } from '../host/last-lines.js'; import { flags } from './flags.js';
    import { deep } from './deep/down.js';`;
  const may = 'providers/qemu may use provider, errors, host/';
  t.strictSame(complaints(tree(t.testdir(), 'providers', {}, source, 'qemu/qemu.ts')), [
    `packages/providers/src/qemu/qemu.ts imports ../docker/engine.js; ${may}`,
    `packages/providers/src/qemu/qemu.ts imports ../registry.js; ${may}`,
  ]);
  const host = tree(t.testdir(), 'providers', {}, "import '../qemu/qemu.js';", 'host/address.ts');
  t.match(complaints(host), [
    /host\/address\.ts imports \.\.\/qemu\/qemu\.js; providers\/host may use provider, errors$/,
  ]);
  const registry = tree(t.testdir(), 'providers', {}, "import './qemu/qemu.js';", 'registry.ts');
  t.strictSame(complaints(registry), []);
});

t.test('an undeclared and an unused dependency are named', async t => {
  const top = tree(t.testdir(), 'daemon', { yargs: '18.2.0' }, "import pino from 'pino';\n");
  t.match(complaints(top), [
    /imports pino, which .* does not declare/,
    /declares yargs, which nothing in it imports/,
  ]);
});

t.test('imports are found in every form and not in comments', async t => {
  const text = `
    import a from 'static'; import 'bare'; import type { B } from "typed";
    export { c } from 'again'; const d = await import('dynamic'); import.meta.resolve('@peerpod-tls/adaptor/bin');
    // import x from 'commented';
    /* import y from 'blocked'; */`;
  t.strictSame(importsOf(text), ['static', 'bare', 'typed', 'again', 'dynamic', '@peerpod-tls/adaptor/bin']);
});
