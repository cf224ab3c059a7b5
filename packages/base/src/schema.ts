// SPDX-License-Identifier: Apache-2.0
// Values from outside against a schema of valibot, refused in our words: where, what it is and what it should be, never
// the value, which may be a secret and which valibot's own messages show. A subpath of its own, since what checks no
// JSON should not load the library (6 ms, 2 MB).
import { custom, safeParse, type BaseIssue, type GenericSchema, type InferOutput } from 'valibot';

export type Checked<T> = { readonly t: 'value'; readonly value: T } | Mismatch;

export interface Mismatch {
  readonly t: 'mismatch';
  /** Path from the top, like `state.instance` or `mounts[2].type`; empty for the value itself. */
  readonly where: string;
  /** What is wrong, after the name of the thing: `is a number, not a text`, `is missing`. */
  readonly what: string;
}

/** An object with any keys, as it is. valibot's own `record` and `object` take a list for one, and copy. */
export const jsonObject = custom<Readonly<Record<string, unknown>>>(
  value => typeof value === 'object' && value !== null && !Array.isArray(value),
  'an object',
);

/** `value` as the schema says, or the first thing that is wrong with it. */
export function checkShape<S extends GenericSchema>(schema: S, value: unknown): Checked<InferOutput<S>> {
  const result = safeParse(schema, value, { abortEarly: true });
  if (result.success) return { t: 'value', value: result.output };
  const [issue] = result.issues;
  return { t: 'mismatch', where: pathOf(issue), what: describe(issue) };
}

function pathOf(issue: BaseIssue<unknown>): string {
  let path = '';
  for (const { key } of issue.path ?? []) {
    if (typeof key === 'number') path += `[${key}]`;
    else path += path === '' ? String(key) : `.${String(key)}`;
  }
  return path;
}

/** Kinds as valibot names them, in words. */
const KINDS: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  boolean: 'a boolean',
  Object: 'an object',
  Array: 'a list',
  null: 'null',
  undefined: 'missing',
};

function describe(issue: BaseIssue<unknown>): string {
  const last = issue.path?.at(-1);
  if (issue.kind === 'schema' && issue.type.endsWith('object') && issue.expected === 'never')
    return 'is a key that does not belong there';
  if (issue.input === undefined && last !== undefined) return 'is missing';
  // A rule with a message of ours says it; the library's own may show the value.
  if (issue.kind === 'validation')
    return issue.message.startsWith('Invalid ') ? 'does not have the form it should' : issue.message;
  const wanted = issue.type === 'custom' ? issue.message : (KINDS[issue.expected ?? ''] ?? issue.expected);
  return `is ${kindOf(issue.input)}${wanted === null ? '' : `, not ${wanted}`}`;
}

/** What a value of JSON is, in words, without the value. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  return KINDS[typeof value] ?? 'nothing';
}
