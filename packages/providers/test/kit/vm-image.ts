// SPDX-License-Identifier: Apache-2.0
// Images of pod VMs for the vm suite, made by the script that people make theirs with. One that several tests can use is
// made once and kept beside Debian's part of it, under a name that follows from everything that goes into it.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { IMAGE_LINE, nodeBinary } from '../../../../scripts/node-releases.mjs';

const root = fileURLToPath(new URL('../../../..', import.meta.url));

/** Where the build keeps Debian's part; ours is in `images` there. */
const cache = path.resolve(root, process.env['PEERPOD_VM_CACHE'] || 'node_modules/.cache/podvm');

const DISK = 'disk.img';
const FILES = [DISK, 'vmlinuz', 'initrd.img', 'manifest.json'];
const MADE = 'made.json';
/** Images kept besides one that is being made; one is half a gigabyte. */
const KEPT = 3;

/** Builds an image with these options of the build script, and gives its disk. */
export function buildImage(directory: string, ...options: readonly string[]): string {
  const args = [
    '--output',
    directory,
    '--cache',
    cache,
    '--programs',
    programs(),
    '--node',
    imageNode(),
    ...options,
  ];
  runScript('build-podvm-image.mjs', args);
  return path.join(directory, DISK);
}

/**
 * The disk of an image with these options, for reading alone: built now, unless one is there that the build would make
 * again. What runs a machine from it has to keep the machine's writes apart, as the providers do.
 */
export function sharedImage(...options: readonly string[]): string {
  const store = path.join(cache, 'images');
  const home = path.join(store, keyOf(options));
  if (!isWhole(home, options)) make(store, home, options);
  const now = new Date();
  utimesSync(path.join(home, MADE), now, now);
  return path.join(home, DISK);
}

/** A copy of an image, to be changed. */
export function copyOf(disk: string, directory: string): string {
  mkdirSync(directory);
  for (const name of FILES) {
    // Four fifths of the disk are holes, which a copy by Node would fill.
    const copy = ['--sparse=always', '--reflink=auto', path.join(path.dirname(disk), name), directory];
    const { status, stderr } = spawnSync('cp', copy, { encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
  }
  return path.join(directory, DISK);
}

function make(store: string, home: string, options: readonly string[]): void {
  mkdirSync(store, { recursive: true });
  sweep(store);
  const partial = mkdtempSync(path.join(store, `.making-${process.pid}-`));
  try {
    buildImage(partial, ...options);
    writeFileSync(path.join(partial, MADE), stampsOf(partial, options));
    rmSync(home, { recursive: true, force: true });
    renameSync(partial, home);
  } catch (error) {
    // Somebody else may have made the same meanwhile.
    if (!isWhole(home, options)) throw error;
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

/** Where npm cannot be asked, this machine's own Node is as good to test with. */
function imageNode(): string {
  return nodeBinary(IMAGE_LINE) ?? process.execPath;
}

/** Everything that the build reads, but for Debian's packages: those have a stamp. */
function keyOf(options: readonly string[]): string {
  const hash = createHash('sha256').update(JSON.stringify([process.arch, options, epoch()]));
  const scripts = path.join(root, 'scripts');
  for (const name of ['build-podvm-image.mjs', 'node-releases.mjs', 'steps.mjs', 'podvm'])
    add(path.join(scripts, name));
  add(path.join(root, 'podvm-files'));
  add(imageNode());
  for (const name of readdirSync(programs()).sort())
    if (name.endsWith('.cjs')) add(path.join(programs(), name));
  return hash.digest('hex').slice(0, 16);

  function add(at: string): void {
    const entry = lstatSync(at);
    hash.update(`\0${at}\0${entry.mode}\0`);
    if (entry.isSymbolicLink()) hash.update(readlinkSync(at));
    else if (entry.isDirectory()) for (const name of readdirSync(at).sort()) add(path.join(at, name));
    else hash.update(`${entry.size}\0`).update(readFileSync(at));
  }
}

/** The time that the build gives to the files in an image, as far as this is not among the files already. */
function epoch(): string {
  const git = spawnSync('git', ['log', '-1', '--format=%ct'], { cwd: root, encoding: 'utf8' });
  return process.env['SOURCE_DATE_EPOCH'] ?? git.stdout ?? '';
}

/** Size and time of an image's files and of Debian's part it was made from: all of them stay until somebody writes. */
function stampsOf(directory: string, options: readonly string[]): string {
  const flavour = options[options.indexOf('--flavour') + 1] ?? '';
  const base = options.includes('--flavour') ? `base-${flavour}-` : 'base-process-user-data-';
  const bases = readdirSync(cache).filter(name => name.startsWith(base) && name.endsWith('.tar'));
  const files = [
    ...FILES.map(name => path.join(directory, name)),
    ...bases.sort().map(name => path.join(cache, name)),
  ];
  return JSON.stringify(
    files.map(file => {
      const { size, mtimeMs } = statSync(file);
      return [path.basename(file), size, mtimeMs];
    }),
  );
}

function isWhole(home: string, options: readonly string[]): boolean {
  try {
    return readFileSync(path.join(home, MADE), 'utf8') === stampsOf(home, options);
  } catch {
    return false;
  }
}

/** Removes what builds that were killed left, and the images that nobody has asked for longest. */
function sweep(store: string): void {
  const images: { readonly at: string; readonly used: number }[] = [];
  for (const name of readdirSync(store)) {
    const at = path.join(store, name);
    const maker = /^\.making-(\d+)-/.exec(name)?.[1];
    if (maker === undefined) images.push({ at, used: usedAt(at) });
    else if (!existsSync(`/proc/${maker}`)) rmSync(at, { recursive: true, force: true });
  }
  images.sort((a, b) => b.used - a.used);
  for (const { at } of images.slice(KEPT)) rmSync(at, { recursive: true, force: true });
}

function usedAt(home: string): number {
  return statSync(path.join(home, MADE), { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

let bundled = false;

/** The single-file programs, made once per process from the sources as they are. */
function programs(): string {
  if (!bundled) runScript('bundle.mjs', []);
  bundled = true;
  return path.join(root, 'bundle');
}

function runScript(name: string, args: readonly string[]): void {
  // The test runner puts itself into NODE_OPTIONS of whatever is started: not here.
  const argv = ['-u', 'NODE_OPTIONS', process.execPath, path.join(root, 'scripts', name), ...args];
  const { status, stdout, stderr } = spawnSync('env', argv, { cwd: root, encoding: 'utf8' });
  if (status !== 0) throw new Error(`no image: ${stderr}${stdout}`);
}
