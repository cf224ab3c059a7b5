// SPDX-License-Identifier: Apache-2.0
// The flags every provider shares: upstream's names, variables and defaults, then ours. A table; reading is options.ts.
import { logFormatFlag, logLevelFlag, type Flag } from '@peerpod-tls/daemon';

const NODE = 'Sockets and directories';
const TLS = 'TLS';
const VM = 'Pod VMs';
const LATER = 'Accepted for compatibility, without effect in this version';
const RUN = 'Running';

const KEY_ALGORITHMS = ['ecdsa-p256', 'ecdsa-p384', 'ed25519', 'rsa-2048', 'rsa-3072', 'rsa-4096'] as const;

export const commonFlags = {
  socket: {
    type: 'string',
    env: 'REMOTE_HYPERVISOR_ENDPOINT',
    default: '/run/peerpod/hypervisor.sock',
    placeholder: 'PATH',
    describe: 'Unix socket on which shims ask for pod VMs; the proxy has it',
    group: NODE,
  },
  'proxy-socket': {
    type: 'string',
    env: 'PROXY_SOCKET',
    placeholder: 'PATH',
    describe:
      'control socket of an agent-protocol-proxy that somebody else runs (left out: one is started, in <state-dir>/proxy, and outlives the adaptor)',
    group: NODE,
  },
  'pods-dir': {
    type: 'string',
    env: 'PODS_DIR',
    default: '/run/peerpod/pods',
    placeholder: 'DIR',
    describe: 'one directory per sandbox, with the agent.ttrpc socket in it',
    group: NODE,
  },
  'state-dir': {
    type: 'string',
    env: 'STATE_DIR',
    placeholder: 'DIR',
    describe:
      'CA, client key and table of sandboxes, kept over restarts (left out: /var/lib/peerpod where it can be had, or <pods-dir>/.state)',
    group: NODE,
  },
  'takeover-timeout': {
    type: 'duration',
    env: 'TAKEOVER_TIMEOUT',
    default: '10m',
    describe:
      'how long to wait for another adaptor that uses the state directory, as in a rolling update; 0s refuses at once',
    group: NODE,
  },
  'status-address': {
    type: 'string',
    placeholder: 'HOST:PORT',
    describe:
      'serves /startup, /healthz, /readyz, /metrics and /sandboxes; port 0 takes any free one (left out: 127.0.0.1 and PROBE_PORT, or 8000)',
    group: NODE,
  },
  'ca-cert-file': {
    type: 'string',
    env: 'CACERT_FILE',
    placeholder: 'FILE',
    describe:
      'certificates you trust to sign pod VMs, with -cert-file and -cert-key; left out, the adaptor is the CA',
    group: TLS,
  },
  'cert-file': {
    type: 'string',
    env: 'CERT_FILE',
    placeholder: 'FILE',
    describe: 'client certificate the adaptor shows to pod VMs',
    group: TLS,
  },
  'cert-key': {
    type: 'string',
    env: 'CERT_KEY',
    placeholder: 'FILE',
    describe: 'key of -cert-file',
    group: TLS,
  },
  'tls-min-version': {
    type: 'string',
    env: 'TLS_MIN_VERSION',
    emptyOk: true,
    default: '',
    placeholder: 'VERSION',
    describe: 'VersionTLS12 or VersionTLS13 on both ends of a link (left out: VersionTLS13)',
    group: TLS,
  },
  'tls-cipher-suites': {
    type: 'list',
    env: 'TLS_CIPHER_SUITES',
    placeholder: 'NAMES',
    describe: 'IANA names of the TLS 1.2 cipher suites allowed on both ends',
    group: TLS,
  },
  'key-algorithm': {
    type: 'choice',
    choices: KEY_ALGORITHMS,
    default: 'ecdsa-p256',
    describe: 'keys of the certificates the adaptor makes',
    group: TLS,
  },
  'disable-tls': {
    type: 'boolean',
    describe: 'plain, unauthenticated links, for testing only; the forwarder needs -disable-tls too',
    group: TLS,
  },
  'tls-skip-verify': {
    type: 'boolean',
    env: 'TLS_SKIP_VERIFY',
    describe: 'refused: an unchecked pod VM is nobody a pod may be handed to',
    group: TLS,
  },
  'forwarder-port': {
    type: 'integer',
    env: 'FORWARDER_PORT',
    default: 15150,
    min: 1,
    max: 65535,
    describe: 'TCP port of the agent-protocol-forwarder in pod VMs',
    group: VM,
  },
  'proxy-timeout': {
    type: 'duration',
    env: 'PROXY_TIMEOUT',
    default: '5m',
    min: '1s',
    describe: 'how long a new pod VM may take until its agent answers',
    group: VM,
  },
  'peerpods-limit-per-node': {
    type: 'integer',
    env: 'PEERPODS_LIMIT_PER_NODE',
    default: 10,
    describe: 'pod VMs this adaptor has at one time, further ones are refused; negative: any number',
    group: VM,
  },
  'created-limit': {
    type: 'integer',
    env: 'CREATED_LIMIT',
    default: 128,
    min: 1,
    describe: 'sandboxes that were created and not started yet, further ones are refused',
    group: VM,
  },
  'created-timeout': {
    type: 'duration',
    env: 'CREATED_TIMEOUT',
    default: '10m',
    min: '1s',
    describe: 'how long a sandbox without a VM is kept that nobody starts',
    group: VM,
  },
  initdata: {
    type: 'string',
    env: 'INITDATA',
    emptyOk: true,
    default: '',
    secret: true,
    placeholder: 'BASE64',
    describe: 'initdata for pods that bring none, as base64 of gzipped TOML',
    group: VM,
  },
  'enable-scratch-space': {
    type: 'boolean',
    env: 'ENABLE_SCRATCH_SPACE',
    describe: 'tells the pod VM to set up encrypted scratch space',
    group: VM,
  },
  'cloud-config-verify': {
    type: 'boolean',
    env: 'CLOUD_CONFIG_VERIFY',
    describe: 'asks the provider to check its configuration before anything is served',
    group: VM,
  },
  'reap-dead-sandboxes': {
    type: 'boolean',
    env: 'REAP_DEAD_SANDBOXES',
    describe: 'stops running sandboxes whose kata shim is gone; left out, they are only told of',
    group: VM,
  },
  'dead-sandbox-grace': {
    type: 'duration',
    env: 'DEAD_SANDBOX_GRACE',
    default: '1m',
    min: '1s',
    describe: 'how long no shim may be connected or answer until it is gone',
    group: VM,
  },
  'data-path-threads': {
    type: 'integer',
    env: 'DATA_PATH_THREADS',
    min: 1,
    max: 64,
    placeholder: 'NUMBER',
    describe:
      "the proxy's threads that carry the calls of pods, each sandbox on one of them; 1 starts none (left out: half of the cores, at least 1 and at most 4)",
    group: RUN,
  },
  'drain-timeout': {
    type: 'duration',
    default: '30s',
    describe: 'how long open calls may take after SIGTERM; a second signal ends at once',
    group: RUN,
  },
  'log-level': { ...logLevelFlag, group: RUN },
  'log-format': { ...logFormatFlag, group: RUN },
  'pause-image': {
    type: 'string',
    env: 'PAUSE_IMAGE',
    emptyOk: true,
    default: '',
    describe: 'pause container image',
    group: LATER,
  },
  'tunnel-type': {
    type: 'choice',
    choices: ['vxlan'],
    env: 'TUNNEL_TYPE',
    default: 'vxlan',
    describe: 'pod network tunnel',
    group: LATER,
  },
  'vxlan-port': {
    type: 'integer',
    env: 'VXLAN_PORT',
    default: 4789,
    min: 0,
    max: 65535,
    describe: 'UDP port of the tunnel',
    group: LATER,
  },
  'vxlan-min-id': {
    type: 'integer',
    default: 555000,
    min: 0,
    describe: 'lowest network id of tunnels',
    group: LATER,
  },
  'host-interface': {
    type: 'string',
    emptyOk: true,
    default: '',
    describe: 'network interface of the tunnel',
    group: LATER,
  },
  'ext-network-via-podvm': {
    type: 'boolean',
    env: 'EXTERNAL_NETWORK_VIA_PODVM',
    describe: 'pod traffic leaves from the pod VM',
    group: LATER,
  },
  'pod-subnet-cidrs': {
    type: 'list',
    env: 'POD_SUBNET_CIDRS',
    describe: 'pod subnets of the cluster',
    group: LATER,
  },
} as const satisfies Readonly<Record<string, Flag>>;

/** The flags a person may set in the belief that they do something; named in a warning at start. */
export const WITHOUT_EFFECT = [
  'pause-image',
  'vxlan-port',
  'vxlan-min-id',
  'host-interface',
  'ext-network-via-podvm',
  'pod-subnet-cidrs',
] as const satisfies readonly (keyof typeof commonFlags)[];
