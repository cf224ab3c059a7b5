// SPDX-License-Identifier: Apache-2.0
// What the container images are made from, and the adaptor's health check in one of them.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { startupUrl } from '../packages/adaptor/docker-healthcheck.mjs';
import { noteSources, staleness } from '../scripts/bundle-sources.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dockerfiles = ['packages/adaptor/Dockerfile', 'packages/cli/Dockerfile', 'podvm-files/Dockerfile'].map(
  file => readFileSync(join(root, file), 'utf8'),
);

t.test('programs that were made from other sources are told from those that were not', async t => {
  const places = t.testdir({
    'package-lock.json': '{}',
    packages: {
      a: { 'package.json': '{}', src: { deep: { 'a.ts': '1' } }, test: { 'a.test.ts': '1' }, dist: {} },
    },
    bundle: { 'a.cjs': '1' },
  });
  const bundle = join(places, 'bundle');
  t.match(staleness(places, bundle), /does not say what it was made from.*npm run bundle/);
  noteSources(places, bundle);
  t.equal(staleness(places, bundle), null);
  writeFileSync(join(places, 'packages/a/test/a.test.ts'), '2');
  t.equal(staleness(places, bundle), null, 'no program is made of a test');
  writeFileSync(join(places, 'packages/a/src/deep/a.ts'), '2');
  t.match(staleness(places, bundle), /other sources.*npm run bundle/);
});

t.test('each image looks at that, and says what it is', async t => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  for (const dockerfile of dockerfiles) {
    t.match(dockerfile, 'if test -d bundle; then node scripts/bundle-sources.mjs;');
    const programs = [...dockerfile.matchAll(/\bbundle\/([^\s"]+)/g)].map(([, name]) => name);
    t.not(programs.length, 0);
    for (const name of programs) t.match(name, /\.cjs$/, 'what npm run bundle makes');
    for (const label of ['title', 'description', 'revision', 'licenses']) {
      t.match(dockerfile, new RegExp(`org\\.opencontainers\\.image\\.${label}="[^"]+"`));
    }
    t.match(dockerfile, `org.opencontainers.image.version="${version}"`);
  }
});

t.test('the health check asks where the adaptor serves', async t => {
  const url = (argv: readonly string[], env: NodeJS.ProcessEnv = {}) =>
    startupUrl(['node', 'cloud-api-adaptor', 'docker', ...argv], env);
  t.equal(url([]), 'http://127.0.0.1:8000/startup');
  t.equal(url([], { PROBE_PORT: '9100' }), 'http://127.0.0.1:9100/startup');
  t.equal(url(['-status-address', '10.1.2.3:81'], { PROBE_PORT: '9100' }), 'http://10.1.2.3:81/startup');
  t.equal(url(['--status-address=0.0.0.0:81']), 'http://127.0.0.1:81/startup');
  t.equal(url(['-status-address=1.1.1.1:80', '-status-address=[::]:81']), 'http://[::1]:81/startup');
  t.equal(url(['-status-address=127.0.0.1:0']), null, 'any port');
});
