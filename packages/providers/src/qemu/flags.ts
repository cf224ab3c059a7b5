// SPDX-License-Identifier: Apache-2.0
// The flags of the provider `qemu`. A table; nothing is read here.
import type { Flag } from '@peerpod-tls/daemon';

export const qemuFlags = {
  'qemu-image': {
    type: 'string',
    env: 'QEMU_IMAGE',
    placeholder: 'FILE',
    describe: 'base image of pod VMs, raw or qcow2; it is never written to',
  },
  'qemu-kernel': {
    type: 'string',
    env: 'QEMU_KERNEL',
    placeholder: 'FILE',
    describe: 'kernel to start it with (left out: vmlinuz beside the image, or the boot loader in it)',
  },
  'qemu-initrd': {
    type: 'string',
    env: 'QEMU_INITRD',
    placeholder: 'FILE',
    describe: 'initial RAM disk (left out: initrd.img beside the kernel)',
  },
  'qemu-cpus': {
    type: 'integer',
    env: 'QEMU_CPUS',
    default: 2,
    min: 1,
    max: 255,
    describe: 'processors of a pod VM, where the pod does not say',
  },
  'qemu-memory': {
    type: 'integer',
    env: 'QEMU_MEMORY',
    default: 1024,
    min: 256,
    max: 1_048_576,
    describe: 'memory of a pod VM in MiB, where the pod does not say',
  },
  'qemu-accel': {
    type: 'choice',
    choices: ['auto', 'kvm', 'tcg'],
    env: 'QEMU_ACCEL',
    default: 'auto',
    describe: 'KVM, emulation (tcg, slow), or KVM where a guest really runs on it',
  },
  'qemu-network': {
    type: 'string',
    env: 'QEMU_NETWORK',
    default: 'user',
    placeholder: 'NETWORK',
    describe:
      'user (reached on a loopback address, no way out), user-open (with a way out), tap:IF or bridge:BR',
  },
  'qemu-program': {
    type: 'string',
    env: 'QEMU_PROGRAM',
    default: 'qemu-system-x86_64',
    placeholder: 'FILE',
    describe: 'the qemu to run',
  },
  'data-dir': {
    type: 'string',
    env: 'QEMU_DATA_DIR',
    default: '/var/lib/peerpod-qemu',
    placeholder: 'DIR',
    describe: 'where the files of pod VMs live',
  },
  'boot-timeout': {
    type: 'duration',
    env: 'QEMU_BOOT_TIMEOUT',
    default: '2m',
    describe: 'how long a machine may take to run, and on a tap or bridge to have an address',
  },
} as const satisfies Record<string, Flag>;
