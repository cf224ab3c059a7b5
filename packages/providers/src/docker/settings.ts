// SPDX-License-Identifier: Apache-2.0
// The docker provider's flags, and the checked settings that follow from them. No request is made here.
import { join, resolve } from 'node:path';

import type { Flag, FlagValues } from '@peerpod-tls/daemon';

import type { SharedMount } from './container.js';
import type { EngineSettings } from './endpoint.js';
import { ProviderError } from '../errors.js';
import { checkDataDir, ownerName } from '../host/data-dir.js';
import type { ProviderContext } from '../provider.js';

export const flags = {
  'docker-host': {
    type: 'string',
    env: 'DOCKER_HOST',
    default: 'unix:///var/run/docker.sock',
    placeholder: 'URL',
    describe: 'the Docker Engine: unix:///path, or tcp://host:port',
  },
  'docker-api-version': {
    type: 'string',
    env: 'DOCKER_API_VERSION',
    placeholder: 'VERSION',
    describe: 'version of the Engine API, like 1.44 (left out: the one the engine speaks)',
  },
  'docker-cert-path': {
    type: 'string',
    env: 'DOCKER_CERT_PATH',
    placeholder: 'DIR',
    describe: 'ca.pem, cert.pem and key.pem for a tcp engine; its certificate is always checked',
  },
  'docker-tls-verify': {
    type: 'boolean',
    env: 'DOCKER_TLS_VERIFY',
    describe: 'refuse a tcp engine without -docker-cert-path',
  },
  'podvm-docker-image': {
    type: 'string',
    env: 'DOCKER_PODVM_IMAGE',
    default: 'peerpod-pod-vm',
    placeholder: 'IMAGE',
    describe: 'image of pod VMs whose pod names none; it must be there already',
  },
  'docker-network-name': {
    type: 'string',
    env: 'DOCKER_NETWORK_NAME',
    default: 'bridge',
    placeholder: 'NETWORK',
    describe: 'network of pod VMs; the adaptor must reach their addresses in it',
  },
  'data-dir': {
    type: 'string',
    env: 'DOCKER_DATA_DIR',
    default: '/run/peerpod-docker',
    placeholder: 'DIR',
    describe: 'holds the user-data of a container until it has started; in memory is best',
  },
  'docker-user-data': {
    type: 'choice',
    choices: ['mount', 'copy'],
    env: 'DOCKER_USER_DATA',
    describe:
      'how user-data gets in: a file of this host mounted read-only, or a copy (left out: mount when the engine shares this host and the adaptor is root, else copy)',
  },
  'docker-mount': {
    type: 'list',
    env: 'DOCKER_MOUNT',
    placeholder: 'SOURCE:TARGET,…',
    describe: 'mounted read-only into each pod VM; a source without a slash is a volume',
  },
  'docker-privileged': {
    type: 'boolean',
    env: 'DOCKER_PRIVILEGED',
    describe: "UNSAFE: pod VMs may do everything root may on the engine's host",
  },
  'docker-capabilities': {
    type: 'list',
    env: 'DOCKER_CAPABILITIES',
    placeholder: 'NAME,…',
    describe: 'Linux capabilities of pod VMs (left out: none)',
  },
  'docker-owner': {
    type: 'string',
    env: 'DOCKER_OWNER',
    placeholder: 'NAME',
    describe:
      "tells this adaptor's pod VMs from those of others on the same engine (left out: made from -pods-dir)",
  },
  'forwarder-options': {
    type: 'list',
    env: 'DOCKER_FORWARDER_OPTIONS',
    placeholder: 'FLAG,…',
    describe: "further flags for each pod VM's forwarder, for images that read FORWARDER_OPTIONS",
  },
} as const satisfies Record<string, Flag>;

export interface DockerSettings {
  readonly engine: EngineSettings;
  readonly image: string;
  readonly network: string;
  readonly owner: string;
  readonly dataDir: string;
  /** Directory of this adaptor's user-data on the host; null when it is copied in. */
  readonly userDataHome: string | null;
  readonly mounts: readonly SharedMount[];
  readonly privileged: boolean;
  readonly capabilities: readonly string[];
  readonly forwarderOptions: readonly string[];
  readonly port: number;
  readonly warnings: readonly string[];
}

/** @throws ProviderError ERR_PROVIDER_CONFIG naming the flag */
export function readSettings(
  values: FlagValues<typeof flags>,
  context: Pick<ProviderContext, 'podsDir' | 'forwarderPort'>,
  uid: number,
): DockerSettings {
  const host = values['docker-host'];
  const network = values['docker-network-name'];
  if (network === 'host' || network === 'none' || network.startsWith('container:')) {
    throw refuse(
      `-docker-network-name ${network} gives a pod VM no address of its own`,
      'name a bridge network; docker network create makes one',
    );
  }
  const owner = values['docker-owner'] ?? ownerName(context.podsDir);
  const local = host.startsWith('unix://');
  const how = values['docker-user-data'] ?? (local && uid === 0 ? 'mount' : 'copy');
  if (how === 'mount' && !local) {
    throw refuse(
      `-docker-user-data=mount needs an engine on this host, and -docker-host is ${host}`,
      'leave it out, or give -docker-user-data=copy',
    );
  }
  const dataDir = how === 'mount' ? checkDataDir(values['data-dir'], context.podsDir) : values['data-dir'];
  const certPath = values['docker-cert-path'] ?? '';
  return {
    engine: {
      host,
      apiVersion: values['docker-api-version'] ?? '',
      certPath,
      tlsVerify: values['docker-tls-verify'],
    },
    image: values['podvm-docker-image'],
    network,
    owner: checkOwner(owner),
    dataDir,
    userDataHome: how === 'mount' ? join(dataDir, owner) : null,
    mounts: values['docker-mount'].map(readMount),
    privileged: values['docker-privileged'],
    capabilities: values['docker-capabilities'].map(checkCapability),
    forwarderOptions: values['forwarder-options'].map(checkOption),
    port: context.forwarderPort,
    warnings: [
      ...(values['docker-privileged']
        ? ["-docker-privileged: a pod VM may do everything root may on the engine's host"]
        : []),
      ...(!local && certPath === ''
        ? [`${host} is spoken to without TLS: whoever sees the connection can run what they like there`]
        : []),
    ],
  };
}

function refuse(message: string, hint: string): ProviderError {
  return new ProviderError('ERR_PROVIDER_CONFIG', message, { hint });
}

function checkOwner(owner: string): string {
  if (/^[A-Za-z0-9][\w.-]{0,62}$/.test(owner)) return owner;
  throw refuse(
    `-docker-owner is ${JSON.stringify(owner)}`,
    'give letters, digits, dots, hyphens and underscores',
  );
}

function readMount(text: string): SharedMount {
  const [source = '', target = '', ...rest] = text.split(':');
  const inside = target === resolve('/', target) && target !== '/';
  if (rest.length > 0 || !inside || !/^[/A-Za-z0-9][\w./-]*$/.test(source)) {
    throw refuse(
      `-docker-mount ${JSON.stringify(text)} is not SOURCE:TARGET`,
      'for example peerpod-certificates:/etc/certificates, or /srv/certificates:/etc/certificates',
    );
  }
  return { type: source.includes('/') ? 'bind' : 'volume', source, target };
}

function checkCapability(name: string): string {
  const bare = name.trim().toUpperCase().replace(/^CAP_/, '');
  if (/^[A-Z_]+$/.test(bare)) return bare;
  throw refuse(`-docker-capabilities holds ${JSON.stringify(name)}`, 'give names as in NET_ADMIN');
}

function checkOption(option: string): string {
  if (option !== '' && !/[\s\p{Cc}]/u.test(option)) return option;
  throw refuse(
    `-forwarder-options holds ${JSON.stringify(option)}, and an option may hold no space`,
    'write a flag and its value as -flag=value',
  );
}
