// SPDX-License-Identifier: Apache-2.0
// Builds a pod VM image from Debian's packages, podvm-files and our programs: no loop device, no virtual machine, no
// network but Debian's mirror. The steps are in scripts/podvm.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  createReadStream,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
  copyFileSync,
  chmodSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { staleness } from './bundle-sources.mjs';
import { IMAGE_LINE, nodeBinary, releaseOf } from './node-releases.mjs';
import { baseArchive } from './podvm/base.mjs';
import { checkCertificates } from './podvm/certificates.mjs';
import { makeDisk } from './podvm/disk.mjs';
import { makeInitrd } from './podvm/initrd.mjs';
import { BuildError, HELP, readOptions } from './podvm/options.mjs';
import { KERNEL_ARGUMENTS } from './podvm/packages.mjs';
import { step } from './podvm/step.mjs';
import { layOver } from './podvm/tree.mjs';
import { must, root } from './steps.mjs';

/** Time of everything in the image: the last change to the sources, as other reproducible builds have it. */
function sourceDate() {
  const given = process.env['SOURCE_DATE_EPOCH'] ?? '';
  if (/^\d+$/.test(given)) return Number(given);
  const git = spawnSync('git', ['log', '-1', '--format=%ct'], { cwd: root, encoding: 'utf8' });
  return git.status === 0 && git.stdout.trim() !== '' ? Number(git.stdout.trim()) : 1_767_225_600;
}

function say(text) {
  process.stdout.write(`${text}\n`);
}

/** The Node for the image where the person named none. */
function imageNode() {
  const node = nodeBinary(IMAGE_LINE);
  if (node !== null) return node;
  throw new BuildError(`Node ${releaseOf(IMAGE_LINE)} cannot be had from npm: name one with --node FILE`);
}

async function build(given) {
  const options = { ...given, node: given.node ?? imageNode() };
  const epoch = sourceDate();
  const programs = options.programs ?? join(root, 'bundle');
  if (options.programs === null)
    must(process.execPath, [join(root, 'scripts', 'bundle.mjs')], { stdio: ['ignore', 2, 'inherit'] });
  const stale = staleness(root, programs);
  if (stale !== null) throw new BuildError(`--programs: ${stale}`);
  const certificates = await checkCertificates(
    options.certificates ?? join(options.files, 'etc/certificates'),
  );
  if (options.certificates !== null && certificates === null)
    throw new BuildError(`--certificates ${options.certificates} holds none of tls.crt, tls.key, ca.crt`);
  const archive = baseArchive(options, Math.min(epoch, 1_767_225_600));
  const work = mkdtempSync(join(tmpdir(), 'podvm-'));
  try {
    const tree = join(work, 'root');
    mkdirSync(tree);
    chmodSync(tree, 0o755);
    step('tar', ['-xpf', archive, '-C', tree, '--numeric-owner', '--exclude=./dev/*']);
    const overlay = layOver(tree, options, programs);
    mkdirSync(options.output, { recursive: true });
    const kernel = takeBoot(tree, options.output);
    const disk = options.format === 'raw' ? 'disk.img' : 'disk.qcow2';
    // Made beside the image it replaces, which a provider may be using.
    const partial = join(options.output, `${disk}.new`);
    makeDisk(tree, partial, { sizeMiB: options.sizeMiB, epoch, format: options.format });
    renameSync(partial, join(options.output, disk));
    const manifest = await describe(options, tree, { disk, kernel, certificates, overlay, epoch });
    writeFileSync(join(options.output, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
    return { disk, manifest };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The kernel and its RAM disk are given to the hypervisor; inside the image they would only take room. */
function takeBoot(tree, output) {
  const boot = join(tree, 'boot');
  const kernel = readdirSync(boot).find(name => name.startsWith('vmlinuz-'));
  if (kernel === undefined) throw new BuildError('the packages hold no kernel');
  const version = kernel.slice('vmlinuz-'.length);
  copyFileSync(join(boot, kernel), join(output, 'vmlinuz'));
  writeFileSync(join(output, 'initrd.img'), makeInitrd(tree, version));
  for (const name of readdirSync(boot)) rmSync(join(boot, name), { recursive: true, force: true });
  for (const name of ['vmlinuz', 'vmlinuz.old', 'initrd.img', 'initrd.img.old'])
    rmSync(join(tree, name), { force: true });
  return version;
}

async function describe(options, tree, { disk, kernel, certificates, overlay, epoch }) {
  const listed = step('chroot', [tree, 'dpkg-query', '-W', '-f', '${Package} ${Version}\n']);
  const files = {};
  for (const name of [disk, 'vmlinuz', 'initrd.img']) {
    const path = join(options.output, name);
    files[name] = { bytes: statSync(path).size, sha256: await sha256(path) };
  }
  const commit = spawnSync('git', ['rev-parse', 'HEAD'], { cwd: root, encoding: 'utf8' });
  return {
    format: 1,
    flavour: options.flavour,
    agent: options.agent === null ? 'peerpod-dev-agent' : 'kata-agent',
    commit: commit.status === 0 ? commit.stdout.trim() : 'unknown',
    sourceDate: new Date(epoch * 1000).toISOString(),
    kernel,
    kernelArguments: KERNEL_ARGUMENTS,
    node: step(options.node, ['--version']).trim(),
    forwarderOptions: options.forwarderOptions,
    certificates,
    overlay,
    files,
    packages: Object.fromEntries(
      listed
        .trim()
        .split('\n')
        .map(line => line.split(' ')),
    ),
  };
}

async function sha256(path) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

try {
  const options = readOptions(process.argv.slice(2));
  if (options === null) say(HELP.trimEnd());
  else {
    const began = performance.now();
    const { disk, manifest } = await build(options);
    say(`${join(options.output, disk)} ${manifest.files[disk].sha256}`);
    say(
      `flavour ${manifest.flavour}, agent ${manifest.agent}, kernel ${manifest.kernel}, TLS ${manifest.certificates === null ? 'from the adaptor' : 'manual'}; ${Math.round((performance.now() - began) / 1000)} s`,
    );
    if (options.agent === null)
      say('The development agent isolates nothing: this image is for trying and testing.');
  }
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  process.stderr.write(`build-podvm-image: ${error.message}\n`);
  process.exitCode = 1;
}
