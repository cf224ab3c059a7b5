// SPDX-License-Identifier: Apache-2.0
// How specs and material look in files, and what is left of them when a file was changed by somebody: nothing. Plain
// JSON; no file is opened here.
import type { peerpod } from '@peerpod-tls/agent-protocol/proxy';
import { securityOf, specMessage, specOf, type NamedSecurity } from '../control/index.js';
import type { ProxySpec } from '../spec.js';

type Material = peerpod.proxy.v1.Material.$Properties;

export function specText(spec: ProxySpec): string {
  return text({ ...specMessage(spec) });
}

/** @throws Error when it is no spec */
export function specIn(json: string): ProxySpec {
  const from = fieldsOf(JSON.parse(json));
  return specOf({
    sandbox: textAt(from, 'sandbox'),
    pod: textAt(from, 'pod'),
    socket: textAt(from, 'socket'),
    addresses: textsAt(from, 'addresses'),
    port: numberAt(from, 'port'),
    material: textAt(from, 'material'),
    serverName: textAt(from, 'serverName'),
    directVolumes: textAt(from, 'directVolumes'),
    redialBudgetMs: numberAt(from, 'redialBudgetMs'),
  });
}

/** Holds the private key. */
export function materialText({ name, tls }: Material): string {
  return text({ name, ...(tls === null || tls === undefined ? {} : { tls: { ...tls } }) });
}

/** @throws Error when it is no material, or none that links may be dialled with */
export function materialIn(json: string): NamedSecurity {
  const from = fieldsOf(JSON.parse(json));
  const name = textAt(from, 'name');
  if (from['tls'] === undefined) return securityOf({ name });
  const tls = fieldsOf(from['tls']);
  return securityOf({
    name,
    tls: {
      chainPem: textAt(tls, 'chainPem'),
      keyPem: textAt(tls, 'keyPem'),
      anchorsPem: textsAt(tls, 'anchorsPem'),
      minVersion: textAt(tls, 'minVersion'),
      ciphers: textAt(tls, 'ciphers'),
      file: textAt(tls, 'file'),
      flag: textAt(tls, 'flag'),
      checkedAt: textAt(tls, 'checkedAt'),
    },
  });
}

const text = (value: object): string => `${JSON.stringify(value, null, 1)}\n`;

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(json: unknown): Fields {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new Error('it is no JSON object');
  return Object.fromEntries(Object.entries(json));
}

function textAt(from: Fields, name: string): string {
  const value = from[name] ?? '';
  if (typeof value !== 'string') throw new Error(`${name} is no text`);
  return value;
}

function numberAt(from: Fields, name: string): number {
  const value = from[name];
  if (typeof value !== 'number') throw new Error(`${name} is no number`);
  return value;
}

function textsAt(from: Fields, name: string): string[] {
  const value = from[name] ?? [];
  if (!Array.isArray(value)) throw new Error(`${name} is no list`);
  return value.map((one: unknown) => {
    if (typeof one !== 'string') throw new Error(`${name} is no list of texts`);
    return one;
  });
}
