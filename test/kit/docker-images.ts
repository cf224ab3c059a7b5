// SPDX-License-Identifier: Apache-2.0
// Images for tests without a registry of images: a base of the Node.js that images have and a few of this machine's
// programs with the libraries they ask for, and the project's three images on top of it, built from its own Dockerfiles.
import { cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { staleness } from '../../scripts/bundle-sources.mjs';
import { IMAGE_LINE, nodeBinary } from '../../scripts/node-releases.mjs';
import { ran, type TestEngine } from './docker-engine.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const BASE_IMAGE = 'peerpod-test-base';
export const PODVM_IMAGE = 'peerpod-pod-vm';

/** What the images' own scripts call. */
const PROGRAMS =
  'sh env cat cp ln ls mkdir rm chmod chown hostname id uname sleep grep head tail true false test stat dirname basename openssl ps date'.split(
    ' ',
  );

/** Where Debian's openssl looks for its defaults. */
const OPENSSL_CONF = '/usr/lib/ssl/openssl.cnf';

/** Makes the base image; once per engine. */
export async function makeBase(engine: TestEngine): Promise<void> {
  if ((await engine.docker('image', 'inspect', BASE_IMAGE)).code === 0) return;
  const root = mkdtempSync(path.join(engine.directory, 'base-'));
  try {
    for (const folder of ['usr/bin', 'tmp', 'run', 'proc', 'sys', 'dev']) {
      mkdirSync(path.join(root, folder), { recursive: true });
    }
    for (const [link, to] of [
      ['bin', 'usr/bin'],
      ['lib', 'usr/lib'],
      ['lib64', 'usr/lib64'],
    ] as const) {
      mkdirSync(path.join(root, to), { recursive: true });
      await must('ln', ['-s', to, path.join(root, link)]);
    }
    const files = PROGRAMS.map(name => `/usr/bin/${name}`).filter(file => existsSync(file));
    for (const file of files) copy(file, path.join(root, 'usr/bin', path.basename(file)));
    // Where npm cannot be asked, this machine's own is as good to test with.
    const node = nodeBinary(IMAGE_LINE) ?? process.execPath;
    copy(node, path.join(root, 'usr/bin/node'));
    const needed = (await must('ldd', [node, ...files])).matchAll(/(\/\S+\.so\S*)/g);
    for (const [, library] of needed) {
      if (library === undefined) continue;
      // Where the loader looks: /lib is a link to /usr/lib here and there.
      copy(library, path.join(root, library.replace(/^\/(?=lib)/, '/usr/')));
    }
    if (existsSync(OPENSSL_CONF)) copy(OPENSSL_CONF, path.join(root, OPENSSL_CONF));
    const archive = path.join(engine.directory, 'base.tar');
    await must('tar', ['-C', root, '-cf', archive, '.']);
    const imported = await engine.docker('import', archive, BASE_IMAGE);
    rmSync(archive);
    if (imported.code !== 0) throw new Error(imported.stderr);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

function copy(from: string, to: string): void {
  mkdirSync(path.dirname(to), { recursive: true });
  cpSync(realpathSync(from), to, { force: true });
}

async function must(command: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await ran(command, args);
  if (code > 1 || (code !== 0 && command !== 'ldd')) throw new Error(`${command} failed: ${stderr}`);
  return stdout;
}

/** Makes sure that bundle/ is there and made of the sources as they are. */
export async function makeBundle(): Promise<void> {
  if (staleness(ROOT, path.join(ROOT, 'bundle')) === null) return;
  const { code, stderr } = await ran(process.execPath, ['scripts/bundle.mjs'], { cwd: ROOT });
  if (code !== 0) throw new Error(`npm run bundle failed: ${stderr}`);
}

/** Builds one of the project's Dockerfiles on the base. */
export async function buildImage(engine: TestEngine, tag: string, dockerfile: string): Promise<void> {
  await makeBase(engine);
  const args = [
    '-q',
    '--build-arg',
    `BASE_IMAGE=${BASE_IMAGE}`,
    '-t',
    tag,
    '-f',
    path.join(ROOT, dockerfile),
    ROOT,
  ];
  // The builder of the engine itself: another one would have to be installed.
  const built = await ran('docker', ['build', ...args], {
    env: {
      DOCKER_HOST: engine.host,
      DOCKER_BUILDKIT: '0',
      DOCKER_CONFIG: path.join(engine.directory, 'config'),
    },
    timeoutMs: 180_000,
  });
  if (built.code !== 0) throw new Error(`docker build of ${dockerfile} failed: ${built.stderr}`);
}
