// SPDX-License-Identifier: Apache-2.0
// The command line of one pod VM's qemu, and the networks it may have. Pure: starts nothing, looks at nothing.
import { createHash } from 'node:crypto';

import { ProviderError } from '../errors.js';

export type QemuNetwork =
  /** qemu's own network: reached through a loopback address, and closed to the outside unless it is `open`. */
  | { readonly t: 'user'; readonly open: boolean }
  | { readonly t: 'tap'; readonly name: string }
  | { readonly t: 'bridge'; readonly name: string };

export type Acceleration = 'kvm' | 'tcg';

/** The descriptor on which qemu finds the line to the console's keeper. */
const CONSOLE_FD = 3;

export interface QemuPlan {
  readonly name: string;
  readonly acceleration: Acceleration;
  readonly cpus: number;
  readonly memoryMiB: number;
  readonly image: string;
  readonly imageFormat: 'raw' | 'qcow2';
  /** Null: the image has a boot loader of its own. */
  readonly kernel: {
    readonly path: string;
    readonly initrd: string | null;
    readonly arguments: string;
  } | null;
  readonly seed: string;
  readonly monitor: string;
  readonly network: QemuNetwork;
  /** Loopback address and port of a user network's way in. */
  readonly address: string;
  readonly port: number;
}

/** @throws ProviderError ERR_PROVIDER_CONFIG naming `-qemu-network` */
export function parseNetwork(text: string): QemuNetwork {
  const [kind = '', name = '', ...rest] = text.split(':');
  if (rest.length === 0) {
    if ((kind === 'user' || kind === 'user-open') && !text.includes(':'))
      return { t: 'user', open: kind === 'user-open' };
    // IFNAMSIZ is 16 with the final NUL.
    if ((kind === 'tap' || kind === 'bridge') && /^[\w.-]{1,15}$/.test(name)) return { t: kind, name };
  }
  throw new ProviderError('ERR_PROVIDER_CONFIG', `-qemu-network is ${JSON.stringify(text)}`, {
    hint: 'it may be user, user-open, tap:INTERFACE or bridge:BRIDGE',
  });
}

/** The same for a VM every time, in the range for locally administered addresses that qemu uses. */
export function macOf(id: string): string {
  const bytes = createHash('sha256').update(id).digest();
  return `52:54:00:${[0, 1, 2].map(i => (bytes[i] ?? 0).toString(16).padStart(2, '0')).join(':')}`;
}

export function qemuArguments(plan: QemuPlan, id: string): string[] {
  const { acceleration, kernel, network } = plan;
  const groups: readonly (readonly string[])[] = [
    ['-name', plan.name, '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ['-machine', 'pc', '-accel', acceleration === 'kvm' ? 'kvm' : 'tcg,thread=multi'],
    ['-cpu', acceleration === 'kvm' ? 'host' : 'max'],
    ['-smp', String(plan.cpus), '-m', String(plan.memoryMiB)],
    // A guest that breaks out into qemu starts nothing and becomes nobody else. Only the bridge needs a helper program.
    [
      '-sandbox',
      network.t === 'bridge'
        ? 'on,obsolete=deny,resourcecontrol=deny'
        : 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny',
    ],
    kernel === null ? [] : ['-kernel', kernel.path, '-append', kernel.arguments],
    kernel === null || kernel.initrd === null ? [] : ['-initrd', kernel.initrd],
    // Writes go to a file that has no name and ends with qemu; the image itself stays as it is.
    [
      '-drive',
      `file=${escaped(plan.image)},if=none,id=root,format=${plan.imageFormat},snapshot=on,cache=unsafe,discard=unmap`,
    ],
    ['-device', 'virtio-blk-pci,drive=root,addr=4'],
    ['-drive', `file=${escaped(plan.seed)},if=none,id=seed-disk,format=raw,readonly=on`],
    ['-device', 'virtio-blk-pci,drive=seed-disk,addr=5,id=seed'],
    ['-netdev', netdev(plan), '-device', `virtio-net-pci,netdev=net,mac=${macOf(id)},romfile=`],
    ['-device', 'virtio-rng-pci'],
    ['-chardev', `socket,id=console,fd=${CONSOLE_FD}`, '-serial', 'chardev:console'],
    ['-chardev', `socket,id=monitor,path=${escaped(plan.monitor)},server=on,wait=off`],
    ['-mon', 'chardev=monitor,mode=control'],
  ];
  return groups.flat();
}

function netdev({ network, address, port }: QemuPlan): string {
  switch (network.t) {
    case 'user': {
      const isolated = network.open ? 'off' : 'on';
      return `user,id=net,restrict=${isolated},hostfwd=tcp:${address}:${port}-:${port}`;
    }
    case 'tap':
      return `tap,id=net,ifname=${network.name},script=no,downscript=no`;
    case 'bridge':
      return `bridge,id=net,br=${network.name}`;
  }
}

/** A comma ends a value of qemu's options unless it is doubled. */
function escaped(path: string): string {
  return path.replaceAll(',', ',,');
}
