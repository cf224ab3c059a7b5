// SPDX-License-Identifier: Apache-2.0
// A sandbox as text in a file, and back. Every field is judged on the way in: a file may be old, cut short, or edited.
import { AdaptorError } from '../../errors.js';
import type { Instance } from '@peerpod-tls/providers';
import type { LeafFacts, LinkFacts, Sandbox, SandboxState, SandboxTls } from '../sandbox.js';

/** Raise it when a field changes its meaning; a reader refuses a number higher than its own. */
const RECORD_VERSION = 1;

export function renderRecord(sandbox: Sandbox): string {
  return `${JSON.stringify({ version: RECORD_VERSION, ...sandbox }, undefined, 2)}\n`;
}

/**
 * Reads a record. Throws `ERR_ADAPTOR_STATE_NEWER` for one a later adaptor wrote and `ERR_ADAPTOR_STATE_CORRUPT`
 * for everything else that cannot be used; `where` names the file in the message.
 */
export function parseRecord(text: string, where: string): Sandbox {
  const root = asObject(parseJson(text, where), 'the record', where);
  const version = root['version'];
  if (typeof version !== 'number' || !Number.isInteger(version) || version < 1) {
    throw corrupt(where, `version is ${JSON.stringify(version)}, not a whole number`);
  }
  if (version > RECORD_VERSION) {
    throw new AdaptorError(
      'ERR_ADAPTOR_STATE_NEWER',
      `${where} has version ${version}, this adaptor reads up to ${RECORD_VERSION}`,
      { hint: 'a newer adaptor wrote it: run that one again, or stop the sandbox with it before going back' },
    );
  }
  const string = (key: string): string => asString(root[key], key, where);
  const spec = asObject(root['wish'], 'wish', where);
  return {
    id: string('id'),
    spec: {
      pod: asString(spec['pod'], 'spec.pod', where),
      namespace: asString(spec['namespace'], 'spec.namespace', where),
      instanceType: asString(spec['instanceType'], 'spec.instanceType', where),
      image: asString(spec['image'], 'spec.image', where),
      vcpus: asCount(spec['vcpus'], 'spec.vcpus', where),
      memoryMiB: asCount(spec['memoryMiB'], 'spec.memoryMiB', where),
      gpus: asCount(spec['gpus'], 'spec.gpus', where),
      initdata: asString(spec['initdata'], 'spec.initdata', where),
    },
    networkNamespace: string('networkNamespace'),
    link: parseLink(root['link'], where),
    instanceName: string('instanceName'),
    createdAt: string('createdAt'),
    leaf: parseLeaf(root['leaf'], where),
    generation: asCount(root['generation'], 'generation', where),
    state: parseState(root['state'], where),
  };
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AdaptorError('ERR_ADAPTOR_STATE_CORRUPT', `${where} is not JSON`, { cause });
  }
}

function parseLink(value: unknown, where: string): LinkFacts {
  const link = asObject(value, 'link', where);
  return {
    tls: parseTls(link['tls'], where),
    serverName: asString(link['serverName'], 'link.serverName', where),
    port: asCount(link['port'], 'link.port', where),
  };
}

function parseTls(value: unknown, where: string): SandboxTls {
  if (value === 'automatic' || value === 'manual' || value === 'disabled') return value;
  throw corrupt(where, `link.tls is ${JSON.stringify(value)}`);
}

function parseLeaf(value: unknown, where: string): LeafFacts | null {
  if (value === null) return null;
  const leaf = asObject(value, 'leaf', where);
  return {
    subject: asString(leaf['subject'], 'leaf.subject', where),
    fingerprint: asString(leaf['fingerprint'], 'leaf.fingerprint', where),
    notAfter: asString(leaf['notAfter'], 'leaf.notAfter', where),
  };
}

function parseState(value: unknown, where: string): SandboxState {
  const state = asObject(value, 'state', where);
  const since = asString(state['since'], 'state.since', where);
  switch (state['t']) {
    case 'created':
      return { t: 'created', since };
    case 'starting':
      return {
        t: 'starting',
        since,
        token: asString(state['token'], 'state.token', where),
        instance: parseInstanceOrNull(state['instance'], where),
      };
    case 'running':
      return { t: 'running', since, instance: parseInstance(state['instance'], where) };
    case 'failed':
      return {
        t: 'failed',
        since,
        reason: asString(state['reason'], 'state.reason', where),
        token: asStringOrNull(state['token'], 'state.token', where),
        instance: parseInstanceOrNull(state['instance'], where),
      };
    case 'stopping':
      return {
        t: 'stopping',
        since,
        token: asStringOrNull(state['token'], 'state.token', where),
        instance: parseInstanceOrNull(state['instance'], where),
        trouble: asStringOrNull(state['trouble'], 'state.trouble', where),
      };
    default:
      throw corrupt(where, `state.t is ${JSON.stringify(state['t'])}`);
  }
}

function parseInstanceOrNull(value: unknown, where: string): Instance | null {
  return value === null ? null : parseInstance(value, where);
}

function parseInstance(value: unknown, where: string): Instance {
  const instance = asObject(value, 'state.instance', where);
  const addresses = instance['addresses'];
  if (!Array.isArray(addresses)) throw corrupt(where, 'state.instance.addresses is no list');
  const id = asString(instance['id'], 'state.instance.id', where);
  if (id === '') throw corrupt(where, 'state.instance.id is empty');
  return {
    id,
    name: asString(instance['name'], 'state.instance.name', where),
    addresses: addresses.map(address => asString(address, 'state.instance.addresses', where)),
  };
}

function corrupt(where: string, what: string): AdaptorError {
  return new AdaptorError('ERR_ADAPTOR_STATE_CORRUPT', `${where}: ${what}`);
}

function asObject(value: unknown, key: string, where: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw corrupt(where, `${key} is no object`);
  return { ...value };
}

function asString(value: unknown, key: string, where: string): string {
  if (typeof value !== 'string')
    throw corrupt(where, `${key} is ${JSON.stringify(value) ?? 'missing'}, not text`);
  return value;
}

function asStringOrNull(value: unknown, key: string, where: string): string | null {
  return value === null ? null : asString(value, key, where);
}

function asCount(value: unknown, key: string, where: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw corrupt(where, `${key} is ${JSON.stringify(value) ?? 'missing'}, not a count`);
  }
  return value;
}
