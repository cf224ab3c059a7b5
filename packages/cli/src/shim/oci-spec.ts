// SPDX-License-Identifier: Apache-2.0
// The OCI spec of a container as a kata shim sends it to the agent: what containerd gives a plain container, without
// what the shim takes out (the pid and network namespaces, which the agent and the forwarder add; devices of cgroups;
// seccomp). A table and a function; no calls.

export interface SpecRequest {
  readonly id: string;
  readonly sandbox: string;
  readonly podName: string;
  readonly args: readonly string[];
  /** `NAME=value`. */
  readonly env: readonly string[];
  readonly cwd: string;
  /** A directory in the VM; the agent binds it to where the container's root is. */
  readonly rootfs: string;
}

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What every container has mounted; without them the agent starts none. */
const mounts = [
  ['/proc', 'proc', 'proc', 'nosuid', 'noexec', 'nodev'],
  ['/dev', 'tmpfs', 'tmpfs', 'nosuid', 'strictatime', 'mode=755', 'size=65536k'],
  ['/dev/pts', 'devpts', 'devpts', 'nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
  ['/dev/shm', 'tmpfs', 'shm', 'noexec', 'nosuid', 'nodev', 'mode=1777', 'size=67108864'],
  ['/dev/mqueue', 'mqueue', 'mqueue', 'nosuid', 'noexec', 'nodev'],
  ['/sys', 'sysfs', 'sysfs', 'nosuid', 'noexec', 'nodev', 'ro'],
  ['/sys/fs/cgroup', 'cgroup', 'cgroup', 'nosuid', 'noexec', 'nodev', 'relatime', 'ro'],
  ['/run', 'tmpfs', 'tmpfs', 'nosuid', 'strictatime', 'mode=755', 'size=65536k'],
] as const;

const capabilities = [
  'CHOWN',
  'DAC_OVERRIDE',
  'FSETID',
  'FOWNER',
  'MKNOD',
  'NET_RAW',
  'SETGID',
  'SETUID',
  'SETFCAP',
  'SETPCAP',
  'NET_BIND_SERVICE',
  'SYS_CHROOT',
  'KILL',
  'AUDIT_WRITE',
].map(name => `CAP_${name}`);

const masked = [
  '/proc/acpi',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/sys/firmware',
  '/proc/scsi',
];
const readonlyPaths = [
  '/proc/asound',
  '/proc/bus',
  '/proc/fs',
  '/proc/irq',
  '/proc/sys',
  '/proc/sysrq-trigger',
];

/** The spec for a container of its own. */
export function ociSpec(request: SpecRequest) {
  const { id, sandbox, podName, args, env, cwd, rootfs } = request;
  const hasPath = env.some(entry => entry.startsWith('PATH='));
  return {
    Version: '1.1.0',
    Process: {
      Args: [...args],
      Env: [...(hasPath ? [] : [PATH]), `HOSTNAME=${podName}`, ...env],
      Cwd: cwd,
      User: { UID: 0, GID: 0 },
      Capabilities: { Bounding: capabilities, Effective: capabilities, Permitted: capabilities },
    },
    Root: { Path: rootfs, Readonly: false },
    Hostname: podName,
    Mounts: mounts.map(([destination, type, source, ...options]) => ({ destination, type, source, options })),
    Annotations: {
      'io.kubernetes.cri.container-type': 'container',
      'io.kubernetes.cri.sandbox-id': sandbox,
      'io.kubernetes.cri.sandbox-name': podName,
      'io.katacontainers.pkg.oci.container_type': 'pod_container',
    },
    Linux: {
      CgroupsPath: `/${sandbox}/${id}`,
      Namespaces: ['ipc', 'uts', 'mount'].map(Type => ({ Type, Path: '' })),
      Resources: {},
      MaskedPaths: masked,
      ReadonlyPaths: readonlyPaths,
    },
  };
}
