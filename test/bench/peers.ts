// SPDX-License-Identifier: Apache-2.0
// The programs we are held against, each as two halves in the same topology: a Unix socket for the shim, mutual TLS 1.3
// with P-256 certificates between, the agent's Unix socket behind. One thread each, no session resumption.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installed, type Program, type Programs } from './processes.js';

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
}

export interface Peer {
  readonly name: string;
  readonly label: string;
  /** Whether its back half ends TLS for anybody who connects, so that handshakes and idle links can be measured. */
  readonly acceptsMany: boolean;
  startBack(programs: Programs, place: Place): Program;
  startFront(programs: Programs, place: Place): Program;
}

const here = fileURLToPath(new URL('.', import.meta.url));
const ourProgram = (file: string): string => join(here, file);

function config(place: Place, name: string, text: string): string {
  const path = join(place.folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

const node = (programs: Programs, file: string, place: Place, half: 'front' | 'back'): Program =>
  programs.start(process.execPath, [
    ourProgram(file),
    half,
    config(place, `${file}-${half}.json`, JSON.stringify(place)),
  ]);

/** The byte pump: what the least possible Node program costs. */
const nodePump: Peer = {
  name: 'node-pump',
  label: 'bare Node pump',
  acceptsMany: true,
  startBack: (programs, place) => node(programs, 'pump.mjs', place, 'back'),
  startFront: (programs, place) => node(programs, 'pump.mjs', place, 'front'),
};

const haproxyDefaults = `global
  nbthread 1
  maxconn 4096
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
`;

const haproxy: Peer = {
  name: 'haproxy',
  label: 'HAProxy',
  acceptsMany: true,
  startBack: (programs, place) =>
    programs.start('haproxy', [
      '-db',
      '-f',
      config(
        place,
        'haproxy-back.cfg',
        `${haproxyDefaults}frontend link
  bind 127.0.0.1:${place.port} ssl crt ${place.server.both} ca-file ${place.ca} verify required ssl-min-ver TLSv1.3 no-tls-tickets
  default_backend agent
backend agent
  server agent unix@${place.agentSocket}
`,
      ),
    ]),
  startFront: (programs, place) =>
    programs.start('haproxy', [
      '-db',
      '-f',
      config(
        place,
        'haproxy-front.cfg',
        `${haproxyDefaults}frontend shim
  bind unix@${place.shimSocket}
  default_backend link
backend link
  server link 127.0.0.1:${place.port} ssl crt ${place.client.both} ca-file ${place.ca} verify required verifyhost ${place.serverName} sni str(${place.serverName}) ssl-min-ver TLSv1.3 no-ssl-reuse
`,
      ),
    ]),
};

const stunnelCommon = `foreground = yes
pid =
debug = err
sslVersionMin = TLSv1.3
sessionResume = no
`;

const stunnel: Peer = {
  name: 'stunnel',
  label: 'stunnel',
  acceptsMany: true,
  startBack: (programs, place) =>
    programs.start('stunnel4', [
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
    ]),
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

const nginxConfig = (
  place: Place,
  half: string,
  server: string,
): string => `load_module modules/ngx_stream_module.so;
user root;
daemon off;
master_process off;
worker_processes 1;
error_log stderr crit;
pid ${place.folder}/nginx-${half}.pid;
events { worker_connections 8192; }
stream {
  proxy_timeout 1h;
  server {
${server}
  }
}
`;

const nginx: Peer = {
  name: 'nginx',
  label: 'nginx stream',
  acceptsMany: true,
  startBack: (programs, place) =>
    programs.start('nginx', [
      '-p',
      place.folder,
      '-c',
      config(
        place,
        'nginx-back.conf',
        nginxConfig(
          place,
          'back',
          `    listen 127.0.0.1:${place.port} ssl;
    ssl_certificate ${place.server.cert};
    ssl_certificate_key ${place.server.key};
    ssl_client_certificate ${place.ca};
    ssl_verify_client on;
    ssl_protocols TLSv1.3;
    ssl_session_tickets off;
    proxy_pass unix:${place.agentSocket};`,
        ).replace('modules/', '/usr/lib/nginx/modules/'),
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
          place,
          'front',
          `    listen unix:${place.shimSocket};
    proxy_pass 127.0.0.1:${place.port};
    proxy_ssl on;
    proxy_ssl_certificate ${place.client.cert};
    proxy_ssl_certificate_key ${place.client.key};
    proxy_ssl_trusted_certificate ${place.ca};
    proxy_ssl_verify on;
    proxy_ssl_name ${place.serverName};
    proxy_ssl_server_name on;
    proxy_ssl_protocols TLSv1.3;
    proxy_ssl_session_reuse off;`,
        ).replace('modules/', '/usr/lib/nginx/modules/'),
      ),
    ]),
};

/** A pair that decodes every call and makes it again, the incumbent's design; `program` is the built Go program. */
function goPair(program: string): Peer {
  return {
    name: 'go-pair',
    label: 'Go decode-and-call-again',
    acceptsMany: false,
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

/** This project: the real forwarder, and the adaptor's proxy in a program of its own. */
export const ours: Peer = {
  name: 'ours',
  label: 'peerpod-tls',
  acceptsMany: true,
  startBack: (programs, place) =>
    programs.start(process.execPath, [
      ourProgram('../../bundle/agent-protocol-forwarder.cjs'),
      '-config',
      config(
        place,
        'apf.json',
        JSON.stringify({ 'pod-network': {}, 'pod-namespace': 'bench', 'pod-name': 'bench' }),
      ),
      '-listen',
      `127.0.0.1:${place.port}`,
      '-kata-agent-socket',
      place.agentSocket,
      '-pod-namespace=',
      '-cert-file',
      place.server.cert,
      '-cert-key',
      place.server.key,
      '-ca-cert-file',
      place.ca,
      '-max-links',
      '4096',
    ]),
  startFront: (programs, place) => node(programs, 'our-front.mjs', place, 'front'),
};

/** Every peer this machine has. */
export function peersHere(goProgram: string | null): Peer[] {
  return [
    nodePump,
    ...(installed('haproxy', '-v') ? [haproxy] : []),
    ...(installed('stunnel4', '-version') ? [stunnel] : []),
    ...(installed('nginx', '-v') ? [nginx] : []),
    ...(goProgram === null ? [] : [goPair(goProgram)]),
  ];
}
