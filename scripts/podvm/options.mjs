// SPDX-License-Identifier: Apache-2.0
// The command line of the image build, checked before anything is made. Does nothing itself.
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from '../steps.mjs';
import { FLAVOURS } from './packages.mjs';

export const HELP = `Usage: node scripts/build-podvm-image.mjs [options]

Builds a pod VM image: disk.img (or disk.qcow2), vmlinuz, initrd.img and manifest.json.

  --output DIR        where they go (default bundle/podvm)
  --flavour NAME      who reads the user-data in the guest: process-user-data (default) or cloud-init
  --agent FILE        a kata-agent binary for this architecture; left out, the development agent, which isolates nothing
  --node FILE         the Node to put in (default: Node 24, the one that runs this or npm's)
  --files DIR         the guest's tree (default podvm-files)
  --certificates DIR  tls.crt, tls.key and ca.crt for manual TLS, instead of those in the tree's etc/certificates
  --overlay DIR       a tree laid over the image last, for a pause bundle, guest components and the like; may be repeated
  --forwarder-options=TEXT  further flags for the forwarder, for example =-disable-tls (testing only)
  --programs DIR      single-file programs made by npm run bundle (default: made now)
  --format NAME       raw (default) or qcow2
  --size MIB          size of the disk (default 1024)
  --suite NAME        Debian release (default bookworm)
  --mirror URL        Debian mirror (default: the one this machine uses)
  --cache DIR         keeps the unpacked packages' archive (default node_modules/.cache/podvm)
  --help
`;

/** A mistake of the person at the keyboard: the message is all there is to say. */
export class BuildError extends Error {}

const TOOLS = {
  mmdebstrap: 'mmdebstrap',
  mke2fs: 'e2fsprogs',
  debugfs: 'e2fsprogs',
  tar: 'tar',
  chroot: 'coreutils',
};

/**
 * @param {readonly string[]} argv
 * @returns null when help was asked for
 */
export function readOptions(argv) {
  const text = { type: 'string' };
  let values;
  try {
    ({ values } = parseArgs({
      args: [...argv],
      options: {
        output: { ...text, default: join(root, 'bundle', 'podvm') },
        flavour: { ...text, default: 'process-user-data' },
        agent: text,
        node: text,
        files: { ...text, default: join(root, 'podvm-files') },
        certificates: text,
        overlay: { ...text, multiple: true, default: [] },
        'forwarder-options': { ...text, default: '' },
        programs: text,
        format: { ...text, default: 'raw' },
        size: { ...text, default: '1024' },
        suite: { ...text, default: 'bookworm' },
        mirror: text,
        cache: { ...text, default: join(root, 'node_modules', '.cache', 'podvm') },
        help: { type: 'boolean', default: false },
      },
    }));
  } catch (error) {
    throw new BuildError(`${error.message.split('\n')[0]} (--help lists the options)`);
  }
  if (values.help) return null;
  oneOf('--flavour', values.flavour, Object.keys(FLAVOURS));
  oneOf('--format', values.format, ['raw', 'qcow2']);
  if (!/^[a-z]+$/.test(values.suite)) throw new BuildError(`--suite ${values.suite} is no name of a release`);
  if (!/^\d{3,6}$/.test(values.size))
    throw new BuildError(`--size ${values.size} is no number of mebibytes from 100`);
  if (/[\n"]/.test(values['forwarder-options']))
    throw new BuildError('--forwarder-options may hold no quote and no line break');
  for (const flag of ['agent', 'node']) {
    if (values[flag] !== undefined) executable(`--${flag}`, resolve(values[flag]));
  }
  if (!existsSync(join(values.files, 'etc/systemd/system/agent-protocol-forwarder.service')))
    throw new BuildError(`--files ${values.files} is not a guest's tree: it has no unit of the forwarder`);
  for (const directory of values.overlay) {
    if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true)
      throw new BuildError(`--overlay ${directory} is not a directory`);
  }
  requireTools(values.format === 'qcow2' ? { ...TOOLS, 'qemu-img': 'qemu-utils' } : TOOLS);
  if (process.getuid?.() !== 0)
    throw new BuildError('files in the image belong to root and to users of its own: build it as root');
  return {
    output: resolve(values.output),
    flavour: values.flavour,
    agent: values.agent === undefined ? null : resolve(values.agent),
    node: values.node === undefined ? null : resolve(values.node),
    files: resolve(values.files),
    certificates: values.certificates === undefined ? null : resolve(values.certificates),
    overlays: values.overlay.map(directory => resolve(directory)),
    forwarderOptions: values['forwarder-options'],
    programs: values.programs === undefined ? null : resolve(values.programs),
    format: values.format,
    sizeMiB: Number(values.size),
    suite: values.suite,
    mirror: values.mirror ?? null,
    cache: resolve(values.cache),
  };
}

function oneOf(flag, value, choices) {
  if (!choices.includes(value))
    throw new BuildError(`${flag} is ${JSON.stringify(value)}, not one of ${choices.join(', ')}`);
}

/** An ELF program for this machine's architecture that may be run. */
function executable(flag, path) {
  if (!existsSync(path)) throw new BuildError(`${flag} ${path} does not exist`);
  if (!statSync(path).isFile()) throw new BuildError(`${flag} ${path} is not a file`);
  try {
    accessSync(path, constants.X_OK);
  } catch {
    throw new BuildError(`${flag} ${path} may not be run: chmod +x`);
  }
}

function requireTools(tools) {
  const places = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  const missing = Object.keys(tools).filter(name => !places.some(place => existsSync(join(place, name))));
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map(name => tools[name]))].join(' ');
  throw new BuildError(`not installed here: ${missing.join(', ')}; on Debian: apt-get install ${packages}`);
}
