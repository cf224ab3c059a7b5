// SPDX-License-Identifier: Apache-2.0
// What commands print: one JSON document of a known shape, ids that can be handed back as an argument, and addresses
// that can be dialled. Text in, values out.
import { BlockList, isIP } from 'node:net';
import { checkShape } from '@peerpod-tls/base/schema';
import * as v from 'valibot';

/** Largest answer of the create command, and of the list command, in bytes. */
export const ANSWER_BYTES = 65_536;
export const LIST_BYTES = 4 * 1024 * 1024;
const MAX_ADDRESSES = 16;
/** Where in a document something is wrong; its keys may be of any length. */
const WHERE_CHARS = 64;

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

const nowhere = new BlockList();
nowhere.addSubnet('0.0.0.0', 8, 'ipv4');
nowhere.addSubnet('224.0.0.0', 3, 'ipv4');
nowhere.addAddress('::', 'ipv6');
nowhere.addSubnet('ff00::', 8, 'ipv6');

/** Whether somebody can be dialled there. */
const isHost = (ip: string): boolean => !nowhere.check(ip, isIP(ip) === 4 ? 'ipv4' : 'ipv6');

const id = v.pipe(
  v.string(),
  v.check(
    isId,
    'has to be 1 to 256 printable characters without blanks, the first of them no dash, and no . or .. between slashes',
  ),
);
const address = v.pipe(
  v.string(),
  v.check(ip => isIP(ip) !== 0, 'is no IP address (a name will not do, and no port or prefix belongs to it)'),
  v.check(isHost, 'is no address of a host'),
);
const fields = {
  id,
  name: v.optional(
    v.pipe(v.string(), v.maxLength(256, 'is too long'), v.regex(/^\P{Cc}*$/u, 'is no text of one line')),
    '',
  ),
  ips: v.optional(
    v.pipe(v.array(address), v.maxLength(MAX_ADDRESSES, `has more than ${MAX_ADDRESSES} addresses`)),
    [],
  ),
};
const created = v.strictObject(fields);
const listed = v.looseObject({
  instances: v.array(
    v.strictObject({ ...fields, token: v.optional(v.pipe(v.string(), v.nonEmpty('is empty'))) }),
  ),
});

/** Reads `{id, name, ips}`. */
export function parseCreateAnswer(stdout: string): CreateAnswer {
  const answer = read(stdout, created);
  if (answer.t === 'bad') return { t: 'bad', why: answer.why, id: idIn(answer.document) };
  const { id, name, ips } = answer.value;
  if (ips.length === 0) return { t: 'bad', why: 'ips has no address', id };
  return { t: 'instance', instance: { id, name, addresses: [...new Set(ips)] } };
}

/** Reads `{instances: [{id, name, ips, token}]}`; a text says what is wrong. */
export function parseListAnswer(stdout: string): readonly AnsweredInstance[] | string {
  const answer = read(stdout, listed);
  if (answer.t === 'bad') return answer.why;
  const { instances } = answer.value;
  const ids = instances.map(({ id }) => id);
  const twice = ids.findIndex((id, n) => ids.indexOf(id) !== n);
  if (twice !== -1) return `instances[${twice}]: the id is in the list twice`;
  return instances.map(({ id, name, ips, token }) => {
    const instance = { id, name, addresses: [...new Set(ips)] };
    return token === undefined ? instance : Object.assign(instance, { token });
  });
}

type Read<T> =
  | { readonly t: 'value'; readonly value: T }
  | { readonly t: 'bad'; readonly why: string; readonly document: unknown };

/** Values are not quoted: output may hold what it should not. */
function read<S extends v.GenericSchema>(stdout: string, shape: S): Read<v.InferOutput<S>> {
  if (stdout.trim() === '') return { t: 'bad', why: 'it printed nothing', document: undefined };
  const document = parseJson(stdout);
  if (typeof document !== 'object' || document === null || Array.isArray(document))
    return { t: 'bad', why: 'it did not print one JSON object', document: undefined };
  const checked = checkShape(shape, document);
  if (checked.t === 'value') return checked;
  return { t: 'bad', why: `${checked.where.slice(0, WHERE_CHARS)} ${checked.what}`, document };
}

/** The id of an instance that is not described well, so that it can be deleted. */
function idIn(document: unknown): string | null {
  const checked = checkShape(v.object({ id }), document);
  return checked.t === 'value' ? checked.value.id : null;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
