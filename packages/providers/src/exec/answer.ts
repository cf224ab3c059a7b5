// SPDX-License-Identifier: Apache-2.0
// What commands print, judged: one JSON document of a known shape, ids that can be handed back as an argument, and
// addresses that can be dialled. Text in, values out.
import { BlockList, isIP } from 'node:net';

/** Largest answer of the create command, and of the list command, in bytes. */
export const ANSWER_BYTES = 65_536;
export const LIST_BYTES = 4 * 1024 * 1024;
const MAX_ADDRESSES = 16;

export interface AnsweredInstance {
  readonly id: string;
  /** Empty when the command gave none. */
  readonly name: string;
  readonly addresses: readonly string[];
  readonly token?: string;
}

export type CreateAnswer =
  | { readonly t: 'instance'; readonly instance: AnsweredInstance }
  /** `id`: what exists all the same, as far as the output tells. */
  | { readonly t: 'bad'; readonly why: string; readonly id: string | null };

/**
 * Ids that a create command may give: printable, no blanks, never to be mistaken for a flag, and no way up in a file
 * system, because scripts make paths of them.
 */
export function isId(id: string): boolean {
  return /^[!-,.-~][!-~]{0,255}$/.test(id) && /[A-Za-z0-9]/.test(id) && !/(?:^|\/)\.\.?(?:\/|$)/.test(id);
}

/** Reads `{id, name, ips}`. */
export function parseCreateAnswer(stdout: string): CreateAnswer {
  if (stdout.trim() === '') return { t: 'bad', why: 'it printed nothing', id: null };
  const document = asObject(parseJson(stdout));
  if (document === null) return { t: 'bad', why: 'it did not print one JSON object', id: null };
  const id = typeof document['id'] === 'string' && isId(document['id']) ? document['id'] : null;
  const bad = (why: string): CreateAnswer => ({ t: 'bad', why, id });
  const instance = judge(document, ['id', 'name', 'ips']);
  if (typeof instance === 'string') return bad(instance);
  return instance.addresses.length === 0 ? bad('ips has no address') : { t: 'instance', instance };
}

/** Reads `{instances: [{id, name, ips, token}]}`; a text says what is wrong. */
export function parseListAnswer(stdout: string): readonly AnsweredInstance[] | string {
  if (stdout.trim() === '') return 'it printed nothing';
  const document = asObject(parseJson(stdout));
  const list = document?.['instances'];
  if (document === null || !Array.isArray(list)) return 'it did not print one JSON object {"instances": […]}';
  const instances: AnsweredInstance[] = [];
  for (const [n, value] of list.entries()) {
    const entry = asObject(value);
    const instance = entry === null ? 'it is no object' : judge(entry, ['id', 'name', 'ips', 'token']);
    if (typeof instance === 'string') return `instances[${n}]: ${instance}`;
    if (instances.some(({ id }) => id === instance.id)) return `instances[${n}]: the id is in the list twice`;
    instances.push(instance);
  }
  return instances;
}

type Fields = Readonly<Record<string, unknown>>;

/** An instance, or what is wrong with it. Values are not quoted: output may hold what it should not. */
function judge(fields: Fields, known: readonly string[]): AnsweredInstance | string {
  const unknown = Object.keys(fields).find(key => !known.includes(key));
  if (unknown !== undefined) {
    return `${JSON.stringify(unknown.slice(0, 32))} is no field of an instance, which has ${known.join(', ')}`;
  }
  const { id, name = '', ips = [], token } = fields;
  if (typeof id !== 'string') return 'id is missing or no text';
  if (!isId(id))
    return 'id has to be 1 to 256 printable characters without blanks, the first of them no dash, and no . or .. between slashes';
  if (typeof name !== 'string' || name.length > 256 || /\p{Cc}/u.test(name))
    return 'name is no text of one line';
  if (token !== undefined && (typeof token !== 'string' || token === '')) return 'token is no text';
  if (!Array.isArray(ips)) return 'ips is no list';
  if (ips.length > MAX_ADDRESSES) return `ips has more than ${MAX_ADDRESSES} addresses`;
  const addresses: string[] = [];
  for (const [n, ip] of ips.entries()) {
    const why = whyNot(ip);
    if (why !== null) return `ips[${n}] ${why}`;
    if (!addresses.includes(ip)) addresses.push(ip);
  }
  return { id, name, addresses, ...(token === undefined ? {} : { token }) };
}

const nowhere = new BlockList();
nowhere.addSubnet('0.0.0.0', 8, 'ipv4');
nowhere.addSubnet('224.0.0.0', 3, 'ipv4');
nowhere.addAddress('::', 'ipv6');
nowhere.addSubnet('ff00::', 8, 'ipv6');

/** Why nobody can be dialled there; null when one can. */
function whyNot(ip: unknown): string | null {
  if (typeof ip !== 'string') return 'is no text';
  const family = isIP(ip);
  if (family === 0) return 'is no IP address (a name will not do, and no port or prefix belongs to it)';
  return nowhere.check(ip, family === 4 ? 'ipv4' : 'ipv6') ? 'is no address of a host' : null;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function asObject(value: unknown): Fields | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null;
}
