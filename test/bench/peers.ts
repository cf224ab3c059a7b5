// SPDX-License-Identifier: Apache-2.0
// The programs of others that we are held against, each as two halves in the same topology: a Unix socket for the shim,
// mutual TLS 1.3 with P-256 certificates and AES-128-GCM between, the agent's Unix socket behind. One thread each, no
// session resumption and no tickets. Whether that is so is looked at in suites.ts, not here.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Launch, NodeRelease } from './ours.js';
import { installed, type Program, type Programs } from './processes.js';

/** The suite of everybody. Go has no choice of it under TLS 1.3, and takes it by itself where there is AES hardware. */
export const SUITE = 'TLS_AES_128_GCM_SHA256';

/** Files and addresses one pair works with. */
export interface Place {
  readonly folder: string;
  readonly shimSocket: string;
  readonly port: number;
  readonly agentSocket: string;
  readonly serverName: string;
  readonly ca: string;
  readonly server: { readonly cert: string; readonly key: string; readonly both: string };
  readonly client: { readonly cert: string; readonly key: string; readonly both: string };
  /** Where the front half listens beside its shim socket, each for a sandbox of its own. */
  readonly moreSockets?: readonly string[];
  /** Threads of our front half. Left out: 1. */
  readonly threads?: number;
}

export interface Peer {
  /** What its figures are called; the first of all sides is ours. */
  readonly name: string;
  /** The Node release it runs under, null for what is no Node program. */
  readonly node: string | null;
  /** Whether its back half ends TLS for anybody who connects, so that handshakes and idle links can be measured. */
  readonly acceptsMany: boolean;
  /** Whether each connection has a thread, whose CPU goes with it when it ends. */
  readonly threads?: true;
  /** Whether its front half listens at `moreSockets` too. */
  readonly manySockets: boolean;
  /** The same side with flags and environment of its Node changed; nothing for what is no Node program. */
  launchedWith?(launch: Launch): Peer;
  /** Of which checkout and Node release it is, for what is this project. */
  readonly project?: { readonly root: string; readonly node: NodeRelease };
  startBack(programs: Programs, place: Place): Program;
  startFront(programs: Programs, place: Place): Program;
}

/** Writes a program's file into a place's folder. */
export function config(place: Place, name: string, text: string): string {
  const path = join(place.folder, `${basename(place.shimSocket, '.sock')}-${name}`);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

/**
 * What HAProxy and stunnel have no setting for, said to OpenSSL itself: "no tickets" alone makes them stateful under
 * TLS 1.3, as many as before.
 */
const noTickets = (place: Place): NodeJS.ProcessEnv => ({
  OPENSSL_CONF: config(
    place,
    'openssl.cnf',
    `openssl_conf = all
[all]
ssl_conf = modules
[modules]
system_default = defaults
[defaults]
NumTickets = 0
`,
  ),
});

/** HAProxy does not start unless it may open two files for each connection. proc(5), limits. */
const openFiles = Number(
  /^Max open files +\d+ +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 1024,
);
const maxConnections = Math.min(8192, Math.floor(openFiles / 2) - 100);

const haproxyDefaults = `global
  nbthread 1
  maxconn ${maxConnections}
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
`;

const haproxy: Peer = {
  name: 'haproxy',
  node: null,
  acceptsMany: true,
  manySockets: true,
  startBack: (programs, place) =>
    programs.start(
      'haproxy',
      [
        '-db',
        '-f',
        config(
          place,
          'haproxy-back.cfg',
          `${haproxyDefaults}frontend link
  bind 127.0.0.1:${place.port} ssl crt ${place.server.both} ca-file ${place.ca} verify required ciphersuites ${SUITE} ssl-min-ver TLSv1.3 no-tls-tickets
  default_backend agent
backend agent
  server agent unix@${place.agentSocket}
`,
        ),
      ],
      { env: noTickets(place) },
    ),
  startFront: (programs, place) =>
    programs.start('haproxy', [
      '-db',
      '-f',
      config(
        place,
        'haproxy-front.cfg',
        `${haproxyDefaults}frontend shim
  bind ${[...(place.moreSockets ?? []), place.shimSocket].map(path => `unix@${path}`).join(',')}
  default_backend link
backend link
  server link 127.0.0.1:${place.port} ssl crt ${place.client.both} ca-file ${place.ca} verify required verifyhost ${place.serverName} sni str(${place.serverName}) ciphersuites ${SUITE} ssl-min-ver TLSv1.3 no-ssl-reuse
`,
      ),
    ]),
};

const stunnelCommon = `foreground = yes
pid =
debug = err
sslVersionMin = TLSv1.3
ciphersuites = ${SUITE}
sessionResume = no
`;

const stunnel: Peer = {
  name: 'stunnel',
  threads: true,
  node: null,
  acceptsMany: true,
  manySockets: false,
  startBack: (programs, place) =>
    programs.start(
      'stunnel4',
      [
        config(
          place,
          'stunnel-back.conf',
          `${stunnelCommon}[back]
accept = 127.0.0.1:${place.port}
connect = ${place.agentSocket}
cert = ${place.server.cert}
key = ${place.server.key}
CAfile = ${place.ca}
verifyChain = yes
`,
        ),
      ],
      { env: noTickets(place) },
    ),
  startFront: (programs, place) =>
    programs.start('stunnel4', [
      config(
        place,
        'stunnel-front.conf',
        `${stunnelCommon}[front]
client = yes
accept = ${place.shimSocket}
connect = 127.0.0.1:${place.port}
cert = ${place.client.cert}
key = ${place.client.key}
CAfile = ${place.ca}
verifyChain = yes
checkHost = ${place.serverName}
sni = ${place.serverName}
`,
      ),
    ]),
};

const nginxModules = ['/usr/lib/nginx/modules', '/usr/lib64/nginx/modules', '/usr/local/nginx/modules'];

const nginxConfig = (
  module: string,
  place: Place,
  half: string,
  server: string,
): string => `load_module ${module};
user root;
daemon off;
master_process off;
worker_processes 1;
error_log stderr crit;
pid ${place.folder}/nginx-${half}.pid;
events { worker_connections 32768; }
stream {
  proxy_timeout 1h;
  server {
${server}
  }
}
`;

const nginxPeer = (module: string): Peer => ({
  name: 'nginx',
  node: null,
  acceptsMany: true,
  manySockets: true,
  startBack: (programs, place) =>
    programs.start('nginx', [
      '-p',
      place.folder,
      '-c',
      config(
        place,
        'nginx-back.conf',
        nginxConfig(
          module,
          place,
          'back',
          `    listen 127.0.0.1:${place.port} ssl;
    ssl_certificate ${place.server.cert};
    ssl_certificate_key ${place.server.key};
    ssl_client_certificate ${place.ca};
    ssl_verify_client on;
    ssl_protocols TLSv1.3;
    ssl_session_tickets off;
    ssl_conf_command Ciphersuites ${SUITE};
    ssl_conf_command NumTickets 0;
    proxy_pass unix:${place.agentSocket};`,
        ),
      ),
    ]),
  startFront: (programs, place) =>
    programs.start('nginx', [
      '-p',
      place.folder,
      '-c',
      config(
        place,
        'nginx-front.conf',
        nginxConfig(
          module,
          place,
          'front',
          `${[...(place.moreSockets ?? []), place.shimSocket].map(path => `    listen unix:${path};\n`).join('')}    proxy_pass 127.0.0.1:${place.port};
    proxy_ssl on;
    proxy_ssl_certificate ${place.client.cert};
    proxy_ssl_certificate_key ${place.client.key};
    proxy_ssl_trusted_certificate ${place.ca};
    proxy_ssl_verify on;
    proxy_ssl_name ${place.serverName};
    proxy_ssl_server_name on;
    proxy_ssl_protocols TLSv1.3;
    proxy_ssl_session_reuse off;
    proxy_ssl_conf_command Ciphersuites ${SUITE};`,
        ),
      ),
    ]),
});

/** A pair that decodes every call and makes it again, the incumbent's design; `program` is the built Go program. */
function goPair(program: string): Peer {
  return {
    name: 'go-pair',
    node: null,
    acceptsMany: false,
    manySockets: false,
    startBack: (programs, place) =>
      programs.start(program, [
        'pair-back',
        `-listen=127.0.0.1:${place.port}`,
        `-agent=${place.agentSocket}`,
        `-cert=${place.server.cert}`,
        `-key=${place.server.key}`,
        `-ca=${place.ca}`,
      ]),
    startFront: (programs, place) =>
      programs.start(program, [
        'pair-front',
        `-socket=${place.shimSocket}`,
        `-dial=127.0.0.1:${place.port}`,
        `-name=${place.serverName}`,
        `-cert=${place.client.cert}`,
        `-key=${place.client.key}`,
        `-ca=${place.ca}`,
      ]),
  };
}

/** Every peer this machine has, and in words what it lacks. */
export function peersHere(goProgram: string | null): { peers: Peer[]; missing: string[] } {
  const peers: Peer[] = [];
  const missing: string[] = [];
  const add = (peer: Peer | null, what: string): void => {
    if (peer === null) missing.push(what);
    else peers.push(peer);
  };
  add(installed('haproxy', '-v') ? haproxy : null, 'haproxy');
  add(installed('stunnel4', '-version') ? stunnel : null, 'stunnel4');
  const module = nginxModules.map(folder => join(folder, 'ngx_stream_module.so')).find(existsSync);
  add(
    installed('nginx', '-v') && module !== undefined ? nginxPeer(module) : null,
    'nginx with its stream module',
  );
  add(goProgram === null ? null : goPair(goProgram), 'a Go toolchain (the Go pair, Go x509)');
  return { peers, missing };
}
