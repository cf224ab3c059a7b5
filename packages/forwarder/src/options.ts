// SPDX-License-Identifier: Apache-2.0
// The command line of agent-protocol-forwarder: upstream's flags, then ours. The only reader of flags; files are read
// in configuration.ts.
import { UsageError, logFormatFlag, logLevelFlag, parseFlags } from '@peerpod-tls/daemon';
import type { Flag } from '@peerpod-tls/daemon';
import { namedClients } from '@peerpod-tls/trust';
import type { NamedClients } from '@peerpod-tls/trust';

export const PROGRAM = 'agent-protocol-forwarder';

const TLS = 'TLS (anything left out comes from the configuration file)';
const OURS = 'Beyond upstream';

const flags = {
  config: {
    type: 'string',
    default: '/run/peerpod/apf.json',
    placeholder: 'FILE',
    describe: "the adaptor's configuration file",
  },
  listen: {
    type: 'string',
    default: '0.0.0.0:15150',
    placeholder: 'HOST:PORT',
    describe: 'address to accept the adaptor on',
  },
  'kata-agent-socket': {
    type: 'string',
    default: '/run/kata-containers/agent.sock',
    placeholder: 'PATH',
    describe: "the agent's Unix socket; a leading @ means an abstract one",
  },
  'pod-namespace': {
    type: 'string',
    default: '/run/netns/podns',
    emptyOk: true,
    placeholder: 'PATH',
    describe: 'network namespace that containers join; empty leaves their request alone',
  },
  'host-interface': {
    type: 'string',
    describe: 'accepted for compatibility: this forwarder sets up no pod network',
  },
  'ca-cert-file': {
    type: 'string',
    group: TLS,
    placeholder: 'FILE',
    describe: 'anchors for client certificates',
  },
  'cert-file': {
    type: 'string',
    group: TLS,
    placeholder: 'FILE',
    describe: 'server certificate, with -cert-key',
  },
  'cert-key': { type: 'string', group: TLS, placeholder: 'FILE', describe: 'its private key' },
  'tls-skip-verify': {
    type: 'boolean',
    group: TLS,
    describe: 'refused: it is about checking a server, and here is the server',
  },
  'disable-tls': {
    type: 'boolean',
    group: TLS,
    describe: 'UNSAFE: serve plain text to anybody who can reach the port',
  },
  'allow-any-client': {
    type: 'boolean',
    group: OURS,
    describe: 'UNSAFE: serve TLS without asking the client for a certificate',
  },
  'client-names': {
    type: 'list',
    group: OURS,
    placeholder: 'NAMES',
    describe:
      'let in only clients whose certificate has one of these names: a subjectAltName, the CN, or an attribute of the subject such as O=cloud-api-adaptor',
  },
  'client-fingerprints': {
    type: 'list',
    group: OURS,
    placeholder: 'SHA256',
    describe: 'let in clients with these certificates, beside those of -client-names',
  },
  'max-links': {
    type: 'integer',
    default: 64,
    min: 1,
    max: 65_536,
    group: OURS,
    describe: 'links served at once',
  },
  'agent-timeout': {
    type: 'duration',
    default: '2m30s',
    group: OURS,
    describe: "how long a link waits for the agent's socket before its calls are answered Unavailable",
  },
  'link-grace': {
    type: 'duration',
    default: '60s',
    env: 'LINK_GRACE',
    group: OURS,
    describe:
      'how long a link that was cut can be resumed by its client: its calls wait that long; 0s ends them with the link',
  },
  'drain-timeout': {
    type: 'duration',
    default: '5s',
    group: OURS,
    describe: 'how long open calls may finish after SIGTERM',
  },
  'status-address': {
    type: 'string',
    group: OURS,
    placeholder: 'HOST:PORT',
    describe: 'serve /startup, /healthz, /readyz and /metrics here; off when empty',
  },
  'log-level': logLevelFlag,
  'log-format': logFormatFlag,
  'guest-root': {
    type: 'string',
    default: '/',
    group: OURS,
    placeholder: 'DIR',
    describe: 'for testing: where the paths of bind mounts begin',
  },
} as const satisfies Record<string, Flag>;

/** Where a TCP listener goes. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** What the command line says, checked for form. Which certificates follow from it is decided with the configuration file. */
export interface ForwarderOptions {
  readonly configFile: string;
  readonly listen: ListenAddress;
  /** As given: a path, or `@name`. */
  readonly agentSocket: string;
  /** Path of a network namespace; empty: requests keep theirs. */
  readonly podNamespace: string;
  readonly caCertFile: string | undefined;
  readonly certFile: string | undefined;
  readonly certKey: string | undefined;
  readonly disableTls: boolean;
  readonly allowAnyClient: boolean;
  /** Which clients may come in, of those the anchors vouch for; null: all. */
  readonly clients: NamedClients | null;
  /** Links served at once. Default 64: one adaptor needs one per shim connection, two or three per pod. */
  readonly maxLinks: number;
  /** Milliseconds a link waits for the agent's socket. Default 150 000, upstream's budget. */
  readonly agentTimeoutMs: number;
  /** Milliseconds a link that was cut is kept for its client to resume; 0: not at all. Default 60 000. */
  readonly linkGraceMs: number;
  /** Milliseconds open calls may finish after SIGTERM. Default 5 000. */
  readonly drainMs: number;
  /** `host:port` of the status endpoint; undefined: none. */
  readonly statusAddress: string | undefined;
  readonly logLevel: string;
  readonly logFormat: string;
  /** Where the guest's paths begin. Default `/`. */
  readonly guestRoot: string;
}

export type Invocation =
  { readonly t: 'help'; readonly text: string } | { readonly t: 'serve'; readonly options: ForwarderOptions };

/** @throws UsageError naming the flag */
export function readOptions(argv: readonly string[], env: NodeJS.ProcessEnv): Invocation {
  const parsed = parseFlags({
    program: PROGRAM,
    usage: `${PROGRAM} [flags]\n\nEnds the adaptor's TLS in the pod VM and hands the calls to the kata-agent.`,
    flags,
    argv,
    env,
  });
  if (parsed.t === 'help') return parsed;
  const { values } = parsed;
  if (values['tls-skip-verify']) {
    throw new UsageError(
      '-tls-skip-verify is about checking a server, and the forwarder is the server: it would change nothing here',
      'leave it out; to serve clients without a certificate, which is unsafe, say -allow-any-client',
    );
  }
  const disableTls = values['disable-tls'];
  const allowAnyClient = values['allow-any-client'];
  if (disableTls && allowAnyClient) {
    throw new UsageError(
      '-disable-tls and -allow-any-client contradict each other: one serves plain text, the other TLS',
      'give one of them, or better none',
    );
  }
  const clients = namedClients(values['client-names'], values['client-fingerprints']);
  if (clients !== null && (disableTls || allowAnyClient)) {
    throw new UsageError(
      `${disableTls ? '-disable-tls' : '-allow-any-client'} lets anybody in, and -client-names or -client-fingerprints name some`,
      `leave out ${disableTls ? '-disable-tls' : '-allow-any-client'}`,
    );
  }
  return {
    t: 'serve',
    options: Object.freeze({
      configFile: given('config', values.config),
      listen: parseListen(values.listen),
      agentSocket: given('kata-agent-socket', values['kata-agent-socket']),
      podNamespace: checkNamespace(values['pod-namespace']),
      caCertFile: orNone(values['ca-cert-file']),
      certFile: orNone(values['cert-file']),
      certKey: orNone(values['cert-key']),
      disableTls,
      allowAnyClient,
      clients,
      maxLinks: values['max-links'],
      agentTimeoutMs: values['agent-timeout'],
      linkGraceMs: values['link-grace'],
      drainMs: values['drain-timeout'],
      statusAddress: orNone(values['status-address']),
      logLevel: values['log-level'],
      logFormat: values['log-format'],
      guestRoot: checkRoot(values['guest-root']),
    }),
  };
}

/**
 * Reads `host:port`, `[v6]:port` or `:port` (all addresses).
 * @throws UsageError naming `-listen`
 */
export function parseListen(text: string): ListenAddress {
  const match = /^(?:\[(?<v6>[0-9A-Fa-f:.%\w]+)\]|(?<host>[^:[\]\s]*)):(?<port>\d{1,5})$/.exec(text);
  const port = Number(match?.groups?.['port'] ?? Number.NaN);
  if (match === null || !(port <= 65_535)) {
    throw new UsageError(
      `-listen is ${JSON.stringify(text)}, not an address to listen on`,
      'give HOST:PORT, [IPv6]:PORT or :PORT, with a port up to 65535',
    );
  }
  return { host: match.groups?.['v6'] ?? match.groups?.['host'] ?? '', port };
}

function given(flag: string, value: string): string {
  if (value === '' || value === '@')
    throw new UsageError(`-${flag} is empty`, `leave -${flag} out for its default`);
  return value;
}

function orNone(value: string | undefined): string | undefined {
  return value === undefined || value === '' ? undefined : value;
}

function checkNamespace(path: string): string {
  if (path === '' || path.startsWith('/')) return path;
  throw new UsageError(
    `-pod-namespace is ${JSON.stringify(path)}, not the path of a network namespace`,
    'give an absolute path such as /run/netns/podns; the Kubernetes namespace of the pod is another thing and needs no flag',
  );
}

function checkRoot(path: string): string {
  if (path.startsWith('/')) return path.length > 1 ? path.replace(/\/+$/, '') : path;
  throw new UsageError(`-guest-root is ${JSON.stringify(path)}, not an absolute path`, 'leave it out for /');
}
