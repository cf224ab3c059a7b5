// SPDX-License-Identifier: Apache-2.0
// Our part of the image, laid over Debian's: the guest's files, the programs, Node, units switched on and off. Works on
// an unpacked tree; makes no disk.
import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { FLAVOURS, MASKED_UNITS } from './packages.mjs';
import { BuildError } from './options.mjs';
import { layOverlay } from './overlay.mjs';
import { step } from './step.mjs';

const UNITS = 'etc/systemd/system';

/** Units switched on in every image, and by what is put in. */
const ENABLED = [
  'agent-protocol-forwarder.path',
  'close-metadata.service',
  '/lib/systemd/system/systemd-networkd.service',
];

/**
 * @param {string} tree root of the unpacked image
 * @param {ReturnType<typeof import('./options.mjs').readOptions> & {}} options
 * @param {string} programs directory with the single-file programs
 * @returns {Record<string, string>} what the overlays put where
 */
export function layOver(tree, options, programs) {
  copyGuestFiles(tree, options);
  const bin = join(tree, 'usr/local/bin');
  for (const name of ['agent-protocol-forwarder', 'process-user-data']) {
    install(join(programs, `${name}.cjs`), join(bin, name));
  }
  const agent = options.agent === null ? 'peerpod-dev-agent' : 'kata-agent';
  install(options.agent ?? join(programs, 'peerpod-dev-agent.cjs'), join(bin, agent));
  install(options.node, join(tree, 'usr/bin/node'));
  checkRuns(tree, options);
  for (const name of ['peerpod-dev-agent', 'kata-agent'].filter(name => name !== agent)) {
    rmSync(join(tree, UNITS, `${name}.service`), { force: true });
  }
  const { reader, left, masked } = FLAVOURS[options.flavour];
  for (const path of left) rmSync(join(tree, path), { recursive: true, force: true });
  step('chroot', [tree, 'systemd-sysusers']);
  for (const unit of [...ENABLED, reader, `${agent}.service`]) enable(tree, unit);
  for (const unit of [...MASKED_UNITS, ...masked]) mask(tree, unit);
  link('/lib/systemd/system/multi-user.target', join(tree, UNITS, 'default.target'));
  configureForwarder(tree, options);
  tidy(tree);
  return Object.assign({}, ...options.overlays.map(directory => layOverlay(tree, directory)));
}

function copyGuestFiles(tree, options) {
  for (const name of ['etc', 'usr']) {
    const from = join(options.files, name);
    if (existsSync(from)) cpSync(from, tree + `/${name}`, { recursive: true, force: true });
  }
  if (options.certificates !== null) {
    for (const name of ['tls.crt', 'tls.key', 'ca.crt'])
      copyFileSync(join(options.certificates, name), join(tree, 'etc/certificates', name));
  }
  // What a checkout says about modes is one bit, and whose files they are depends on who checked out.
  for (const path of filesBelow(options.files)) own(tree, path);
}

function own(tree, path) {
  const target = join(tree, path);
  if (!existsSync(target)) return;
  chownSync(target, 0, 0);
  chmodSync(target, path.startsWith('usr/local/lib/peerpod/') ? 0o755 : 0o644);
  for (let at = dirname(path); at !== '.'; at = dirname(at)) {
    chownSync(join(tree, at), 0, 0);
    chmodSync(join(tree, at), 0o755);
  }
}

function filesBelow(folder, prefix = '') {
  return readdirSync(join(folder, prefix), { withFileTypes: true }).flatMap(entry => {
    const path = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
    return entry.isDirectory() ? filesBelow(folder, path) : [path];
  });
}

function install(from, to) {
  if (!existsSync(from)) throw new BuildError(`${from} does not exist; npm run bundle makes the programs`);
  copyFileSync(from, to);
  chownSync(to, 0, 0);
  chmodSync(to, 0o755);
}

/** Node is copied from elsewhere, so the guest may lack a library of its, or it may be of another architecture. */
function checkRuns(tree, options) {
  try {
    step('chroot', [tree, '/usr/bin/node', '/usr/local/bin/agent-protocol-forwarder', '-version']);
  } catch (error) {
    throw new BuildError(`--node ${options.node} does not run in the image: ${error.message}`);
  }
  if (options.agent === null) return;
  try {
    step('chroot', [tree, '/usr/local/bin/kata-agent', '--version']);
  } catch (error) {
    throw new BuildError(`--agent ${options.agent} does not run in the image: ${error.message}`);
  }
}

/** What `systemctl enable` does for our units, without needing systemd here. */
function enable(tree, unit) {
  const file = unit.startsWith('/') ? unit : `/${UNITS}/${unit}`;
  const text = readFileSync(join(tree, file), 'utf8');
  const name = file.slice(file.lastIndexOf('/') + 1);
  for (const [, targets = ''] of text.matchAll(/^WantedBy=(.*)$/gm)) {
    for (const target of targets.trim().split(/\s+/)) {
      const wants = join(tree, UNITS, `${target}.wants`);
      mkdirSync(wants, { recursive: true });
      link(file, join(wants, name));
    }
  }
}

function mask(tree, unit) {
  link('/dev/null', join(tree, UNITS, unit));
}

function link(target, path) {
  rmSync(path, { force: true });
  symlinkSync(target, path);
}

/** Manual TLS is on when its three files are in the image; their key belongs to the forwarder alone. */
function configureForwarder(tree, options) {
  const file = join(tree, 'etc/default/agent-protocol-forwarder');
  let text = readFileSync(file, 'utf8');
  if (existsSync(join(tree, 'etc/certificates/tls.key'))) {
    text = text.replace(/^#TLS_OPTIONS=/m, 'TLS_OPTIONS=');
    const { uid, gid } = forwarderUser(tree);
    chmodSync(join(tree, 'etc/certificates/tls.key'), 0o400);
    chownSync(join(tree, 'etc/certificates/tls.key'), uid, gid);
    for (const name of ['tls.crt', 'ca.crt']) {
      chmodSync(join(tree, 'etc/certificates', name), 0o644);
      chownSync(join(tree, 'etc/certificates', name), 0, 0);
    }
  }
  if (options.forwarderOptions !== '') text += `\nOPTIONS=${options.forwarderOptions}\n`;
  writeFileSync(file, text);
}

function forwarderUser(tree) {
  const line = readFileSync(join(tree, 'etc/passwd'), 'utf8')
    .split('\n')
    .find(entry => entry.startsWith('peerpod-forwarder:'));
  const [, , uid = '', gid = ''] = (line ?? '').split(':');
  if (uid === '') throw new BuildError('the user peerpod-forwarder was not made in the image');
  return { uid: Number(uid), gid: Number(gid) };
}

/** Nothing that differs from build to build, and nothing that two machines of one image would share. */
function tidy(tree) {
  writeFileSync(join(tree, 'etc/machine-id'), '');
  writeFileSync(join(tree, 'etc/hostname'), 'podvm\n');
  // One platform's metadata service is known by name, before there is any name server to ask.
  writeFileSync(
    join(tree, 'etc/hosts'),
    '127.0.0.1 localhost podvm\n::1 localhost\n169.254.169.254 metadata.google.internal\n',
  );
  writeFileSync(join(tree, 'etc/fstab'), '/dev/vda / ext4 rw,noatime 0 0\n');
  for (const path of [
    'var/cache/apt',
    'var/lib/apt/lists',
    'var/log',
    'var/cache/ldconfig',
    'var/cache/debconf',
  ]) {
    const full = join(tree, path);
    if (!existsSync(full)) continue;
    for (const name of readdirSync(full)) rmSync(join(full, name), { recursive: true, force: true });
  }
  rmSync(join(tree, 'etc/ssh'), { recursive: true, force: true });
  rmSync(join(tree, 'var/lib/systemd/random-seed'), { force: true });
  for (const name of ['passwd-', 'group-', 'shadow-', 'gshadow-', '.pwd.lock', '.updated'])
    rmSync(join(tree, 'etc', name), { force: true });
}
