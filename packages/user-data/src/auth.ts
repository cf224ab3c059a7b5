// SPDX-License-Identifier: Apache-2.0
// auth.json: credentials for image registries, as container tools read them. Text in, text out; where secrets come from is
// for others. No message holds any of them.
import { decodeBase64 } from './base64.js';
import { UserDataError } from './errors.js';

/** Largest auth.json, in bytes; what upstream's adaptor takes. */
export const MAX_AUTH_BYTES = 12_288;

/**
 * Makes one auth.json of several documents in Docker's format, `{"auths": {host: {"auth": base64 of user:password}}}`;
 * `username` and `password` are taken in place of `auth`. Where two name the same host, the later one counts. The rest
 * of a document (e-mail addresses, helpers) stays behind.
 *
 * @throws UserDataError `ERR_USER_DATA_AUTH` naming the document by its number and the host; `ERR_USER_DATA_TOO_LARGE`,
 * naming the hosts
 */
export function mergeAuth(documents: readonly string[]): string {
  const auths = new Map<string, string>();
  documents.forEach((document, i) => {
    for (const [host, auth] of readAuths(document, `document ${i + 1}`)) auths.set(host, auth);
  });
  const text = JSON.stringify({
    auths: Object.fromEntries([...auths].map(([host, auth]) => [host, { auth }])),
  });
  const bytes = Buffer.byteLength(text);
  if (bytes <= MAX_AUTH_BYTES) return text;
  const hosts = [...auths]
    .map(([host, auth]) => ({ host, bytes: Buffer.byteLength(JSON.stringify({ [host]: { auth } })) }))
    .toSorted((a, b) => b.bytes - a.bytes);
  const shown = hosts
    .slice(0, 5)
    .map(entry => `${JSON.stringify(entry.host.slice(0, 100))} ${entry.bytes} bytes`);
  throw new UserDataError(
    'ERR_USER_DATA_TOO_LARGE',
    `the registry credentials have ${bytes} bytes, ${MAX_AUTH_BYTES} are allowed: ${shown.join(', ')}`,
    { hint: 'give the pod only the credentials of the registries it pulls from' },
  );
}

function readAuths(document: string, where: string): [host: string, auth: string][] {
  let value: unknown;
  try {
    value = JSON.parse(document);
  } catch {
    throw bad(`${where} is not JSON`);
  }
  if (!isTable(value)) throw bad(`${where} is not a JSON object`);
  const auths = value['auths'];
  if (!isTable(auths)) throw bad(`${where} has no table "auths"`);
  return Object.entries(auths).map(([host, entry]) => {
    const at = `${where}, host ${JSON.stringify(host.slice(0, 100))}`;
    if (host === '' || !isTable(entry)) throw bad(`${at}: not a host with a table`);
    return [host, readEntry(entry, at)];
  });
}

function readEntry(entry: Readonly<Record<string, unknown>>, at: string): string {
  const { auth, username, password } = entry;
  if (auth === undefined && typeof username === 'string' && typeof password === 'string') {
    if (username === '' || username.includes(':')) throw bad(`${at}: the username is empty or has a colon`);
    return Buffer.from(`${username}:${password}`).toString('base64');
  }
  if (typeof auth !== 'string') throw bad(`${at}: neither "auth" nor "username" and "password"`);
  const decoded = decodeBase64(auth);
  if (decoded === null || decoded.indexOf(':') < 1) throw bad(`${at}: "auth" is not base64 of user:password`);
  return decoded.toString('base64');
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function bad(what: string): UserDataError {
  return new UserDataError('ERR_USER_DATA_AUTH', `the registry credentials cannot be used: ${what}`, {
    hint: 'a secret of type kubernetes.io/dockerconfigjson has the right form',
  });
}
