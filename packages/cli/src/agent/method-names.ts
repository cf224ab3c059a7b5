// SPDX-License-Identifier: Apache-2.0
// Which method of an agent a person means. Names only; calling is agent.ts.
import { type MethodInfo, listMethods } from '@peerpod-tls/agent-protocol';
import { nearest } from '@peerpod-tls/daemon/terminal';
import { usageError } from '../usage.js';

export const fullName = (method: MethodInfo) => `${method.service}/${method.method}`;

/** The method a person means: letter case, dashes and the service's name are all optional. */
export function resolveMethod(word: string): MethodInfo {
  const methods = listMethods();
  const wanted = plain(word);
  const found =
    methods.find(m => m.method === word || fullName(m) === word) ??
    methods.find(m => plain(m.method) === wanted || plain(fullName(m)) === wanted);
  if (found !== undefined) return found;
  const names = new Map(methods.map(m => [plain(m.method), m.method]));
  const near = nearest(wanted, [...names.keys(), 'list']);
  throw usageError(
    `${JSON.stringify(word)} is no method of an agent`,
    near === undefined
      ? 'peerpod agent list shows them all'
      : `did you mean ${names.get(near) ?? near}? peerpod agent list shows them all`,
  );
}

const plain = (name: string) => name.replaceAll(/[-_]/gu, '').toLowerCase();
