// SPDX-License-Identifier: Apache-2.0
// Where the Docker Engine is, as flags say it: a Unix socket, or TCP with TLS or without. Reads the certificates; nothing
// is sent.
import type { RequestOptions } from 'node:https';
import { join } from 'node:path';
import { messageOf, readSmallFile } from '@peerpod-tls/base';
import { ProviderError } from '../errors.js';

export interface EngineSettings {
  /** `unix:///path` or `tcp://host:port`. */
  readonly host: string;
  /** Like `1.44`; empty: whatever the engine speaks. */
  readonly apiVersion: string;
  /** Directory with ca.pem, cert.pem and key.pem; empty: no TLS. */
  readonly certPath: string;
  readonly tlsVerify: boolean;
}

export interface Endpoint {
  /** For messages: the URL as it was given. */
  readonly name: string;
  readonly tls: boolean;
  /** Where a request goes, and with which certificates. */
  readonly options: RequestOptions;
  /** Begins every path; empty, or a version of the API. */
  readonly prefix: string;
}

/** A PEM file of an engine is a few kilobytes; a bundle of anchors may be more. */
const PEM_BYTES = 1 << 20;

/** @throws ProviderError ERR_PROVIDER_CONFIG naming the flag */
export function endpointOf({ host, apiVersion, certPath, tlsVerify }: EngineSettings): Endpoint {
  if (apiVersion !== '' && !/^\d+\.\d+$/.test(apiVersion)) {
    throw refuse(
      `-docker-api-version is ${JSON.stringify(apiVersion)}`,
      'give two numbers as in 1.44, or leave it out for what the engine speaks',
    );
  }
  const common = { name: host, prefix: apiVersion === '' ? '' : `/v${apiVersion}` };
  if (host.startsWith('unix://')) {
    const socketPath = host.slice('unix://'.length);
    if (!socketPath.startsWith('/')) {
      throw refuse(
        `-docker-host ${host} names no absolute path`,
        'write it as unix:///var/run/docker.sock, with three slashes',
      );
    }
    return { ...common, tls: false, options: { socketPath, headers: { host: 'docker' } } };
  }
  const url = tcpUrl(host);
  if (certPath === '' && tlsVerify) {
    throw refuse(
      '-docker-tls-verify asks for TLS, and -docker-cert-path (DOCKER_CERT_PATH) is not given',
      'name the directory that holds ca.pem, cert.pem and key.pem',
    );
  }
  // An address of IP version 6 stands in brackets in a URL alone.
  const to = { host: url.hostname.replace(/^\[(.*)\]$/, '$1') };
  if (certPath === '') return { ...common, tls: false, options: { ...to, port: url.port || 2375 } };
  // Said although it is the default, because the environment can turn the default off.
  const options = { ...to, port: url.port || 2376, ...readPair(certPath), rejectUnauthorized: true };
  return { ...common, tls: true, options };
}

function tcpUrl(host: string): URL {
  if (host.startsWith('tcp://') && URL.canParse(host)) {
    const url = new URL(host);
    if (url.hostname !== '' && ['', '/'].includes(url.pathname) && url.username === '') return url;
  }
  throw refuse(
    `-docker-host (DOCKER_HOST) is ${JSON.stringify(host)}`,
    'give unix:///var/run/docker.sock, or tcp://HOST:2376 with -docker-cert-path; ssh:// is not spoken here',
  );
}

function readPair(directory: string): { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer } {
  const read = (name: string): Buffer => {
    try {
      return readSmallFile(join(directory, name), { maxBytes: PEM_BYTES }).bytes;
    } catch (error) {
      const hint = '-docker-cert-path (DOCKER_CERT_PATH) names a directory with ca.pem, cert.pem and key.pem';
      throw refuse(messageOf(error), hint, error);
    }
  };
  return { ca: read('ca.pem'), cert: read('cert.pem'), key: read('key.pem') };
}

function refuse(message: string, hint: string, cause?: unknown): ProviderError {
  return new ProviderError('ERR_PROVIDER_CONFIG', message, { hint, cause });
}
