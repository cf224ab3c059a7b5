// SPDX-License-Identifier: Apache-2.0
// What a pod VM image holds of Debian, and which of Debian's own units never start in it. Data alone.

/** Node's own libraries (libstdc++6) are named because Node is copied, not installed. */
const COMMON = [
  'linux-image-cloud-amd64',
  'busybox-static',
  'kmod',
  'systemd',
  'systemd-sysv',
  'udev',
  'dbus',
  'iproute2',
  'libstdc++6',
  'ca-certificates',
];

/** Who reads the user-data: the unit that ends with its files in place, and what of the tree is the other reader's. */
export const FLAVOURS = {
  'process-user-data': {
    packages: COMMON,
    reader: 'process-user-data.service',
    left: [
      'etc/cloud',
      'etc/systemd/system/cloud-init-user-data.service',
      'etc/systemd/system/cloud-init.service.d',
      'usr/local/lib/peerpod/take-user-data',
    ],
    masked: [],
  },
  'cloud-init': {
    packages: [...COMMON, 'cloud-init'],
    reader: 'cloud-init-user-data.service',
    left: ['etc/systemd/system/process-user-data.service', 'usr/local/lib/peerpod/provision'],
    // Stages that have nothing to do here, and that would look for the data source after the user-data was taken away.
    masked: ['cloud-config.service', 'cloud-final.service', 'cloud-init-hotplugd.socket'],
  },
};

/** Drivers the initial RAM disk needs to find the root disk. Everything else is loaded from there. */
export const INITRD_MODULES = ['crc32c_generic', 'virtio_pci', 'virtio_blk', 'ext4'];

/** Left out of the packages while they are unpacked. */
export const EXCLUDED_PATHS = [
  '/usr/share/doc/*',
  '/usr/share/man/*',
  '/usr/share/info/*',
  '/usr/share/locale/*',
  '/usr/share/lintian/*',
  '/lib/modules/*/kernel/drivers/gpu/*',
  '/lib/modules/*/kernel/drivers/infiniband/*',
  '/lib/modules/*/kernel/drivers/net/ethernet/mellanox/*',
];

/** A pod VM lives as long as its pod: nobody logs in, nothing is updated or cleaned up in it. */
export const MASKED_UNITS = [
  'apt-daily.timer',
  'dev-hugepages.mount',
  'kmod-static-nodes.service',
  'modprobe@configfs.service',
  'modprobe@dm_mod.service',
  'modprobe@drm.service',
  'modprobe@efi_pstore.service',
  'modprobe@fuse.service',
  'modprobe@loop.service',
  'proc-sys-fs-binfmt_misc.automount',
  'sys-fs-fuse-connections.mount',
  'sys-kernel-config.mount',
  'sys-kernel-debug.mount',
  'sys-kernel-tracing.mount',
  'systemd-modules-load.service',
  'systemd-remount-fs.service',
  'systemd-sysusers.service',
  'systemd-user-sessions.service',
  'systemd-rfkill.socket',
  'systemd-initctl.socket',
  'systemd-journald-audit.socket',
  'systemd-random-seed.service',
  'systemd-growfs-root.service',
  'apt-daily-upgrade.timer',
  'dpkg-db-backup.timer',
  'e2scrub_all.timer',
  'e2scrub_reap.service',
  'fstrim.timer',
  'getty@tty1.service',
  'getty-static.service',
  'serial-getty@ttyS0.service',
  'ldconfig.service',
  'systemd-ask-password-console.path',
  'systemd-ask-password-wall.path',
  'systemd-binfmt.service',
  'systemd-boot-update.service',
  'systemd-firstboot.service',
  'systemd-hwdb-update.service',
  'systemd-journal-catalog-update.service',
  'systemd-journal-flush.service',
  'systemd-logind.service',
  'systemd-networkd-wait-online.service',
  'systemd-pcrphase.service',
  'systemd-pcrphase-initrd.service',
  'systemd-pcrphase-sysinit.service',
  'systemd-pstore.service',
  'systemd-update-done.service',
  'systemd-update-utmp.service',
  'systemd-update-utmp-runlevel.service',
];

/** For the kernel that starts the image; a provider appends nothing of its own. */
export const KERNEL_ARGUMENTS = [
  'root=/dev/vda rw rootfstype=ext4 console=ttyS0 quiet loglevel=4 panic=-1 net.ifnames=0',
  // Neither the kernel's crypto, tested by who built it, nor a log of system calls that nobody reads is worth the wait.
  'cryptomgr.notests audit=0 systemd.show_status=false',
].join(' ');
