// SPDX-License-Identifier: Apache-2.0
// The user-data as cloud-config text: files with a path and a content, and nothing else, since upstream's reader refuses
// every other key. No disk here.
import { parseDocument } from 'yaml';
import { UserDataError } from './errors.js';

/** Largest user-data, in bytes. The strictest platform takes 16 KiB, a seed disk takes anything. */
export const MAX_USER_DATA_BYTES = 1_048_576;

const MAX_FILES = 100;
const HEADER = '#cloud-config';

/** One file of the user-data. */
export interface UserDataFile {
  /** Absolute, without `.` or `..`. */
  readonly path: string;
  readonly content: string;
}

/**
 * Renders files as cloud-config in the shape that upstream's adaptor writes and its strict reader takes: first line
 * `#cloud-config`, then `write_files` with `path` and `content` alone. What a reader gets back is the content with
 * exactly one newline at its end, however many it had; an empty content stays empty.
 *
 * @throws UserDataError `ERR_USER_DATA_PATH`, `ERR_USER_DATA_CONTENT` (a lone surrogate), `ERR_USER_DATA_TOO_LARGE`
 */
export function renderCloudConfig(files: readonly UserDataFile[]): string {
  checkPaths(files.map(file => file.path));
  const lines = [HEADER];
  if (files.length > 0) lines.push('', 'write_files:');
  for (const file of files) lines.push(...renderFileLines(file));
  const text = `${lines.join('\n')}\n`;
  checkSize(Buffer.byteLength(text));
  return text;
}

/** One file's lines. Throws `ERR_USER_DATA_CONTENT`. */
export function renderFileLines({ path, content }: UserDataFile): string[] {
  if (/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(path + content)) {
    throw new UserDataError('ERR_USER_DATA_CONTENT', `the content for ${path} is not well-formed Unicode`);
  }
  const head = `  - path: ${/^[\w./-]+$/.test(path) ? path : quoted(path)}`;
  return content === '' ? [head] : [head, ...contentLines(`${content.replace(/\n+$/, '')}\n`)];
}

/**
 * A literal block where that keeps every character; quotes where it would not: a block takes its indentation from its
 * first line, knows only one kind of line break, and has no control characters.
 */
function contentLines(content: string): string[] {
  // Printable in YAML 1.1 and 1.2 alike, and no line break in either but LF. A byte order mark is left out.
  const plain = /^[\t\n\x20-\x7e\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\u{10000}-\u{10ffff}]+$/u;
  if (!plain.test(content) || /^[ \t\n]/.test(content)) return [`    content: ${quoted(content)}`];
  const indented = content
    .slice(0, -1)
    .split('\n')
    .map(line => (line === '' ? '' : `      ${line}`));
  return ['    content: |', ...indented];
}

/** A double-quoted scalar on one line. JSON's escapes are YAML's; what JSON leaves as it is and YAML folds is added. */
function quoted(text: string): string {
  return JSON.stringify(text).replaceAll(
    /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g,
    char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/**
 * Reads user-data. Strict: whatever it says beyond files with a path and a content is refused, naming the key, since
 * ignoring `permissions` or `runcmd` would quietly do something other than what was asked.
 *
 * @throws UserDataError `ERR_USER_DATA_FORMAT`, `ERR_USER_DATA_KEY`, `ERR_USER_DATA_PATH`, `ERR_USER_DATA_TOO_LARGE`.
 * No message holds any content.
 */
export function parseCloudConfig(text: string): UserDataFile[] {
  checkSize(Buffer.byteLength(text));
  checkHeader(text);
  const root = parseYaml(text);
  if (root === null || root === '') return [];
  if (!(root instanceof Map))
    throw new UserDataError('ERR_USER_DATA_FORMAT', 'the cloud-config is not a table of keys');
  for (const key of root.keys()) {
    if (key !== 'write_files') throw unknownKey(key, 'only write_files is understood');
  }
  const items: unknown = root.get('write_files') ?? '';
  if (items === '') return [];
  if (!Array.isArray(items)) throw new UserDataError('ERR_USER_DATA_FORMAT', 'write_files is not a list');
  if (items.length > MAX_FILES) {
    throw new UserDataError(
      'ERR_USER_DATA_TOO_LARGE',
      `write_files has ${items.length} files, ${MAX_FILES} are allowed`,
    );
  }
  const files = items.map((item: unknown, i) => readFile(item, `write_files[${i}]`));
  checkPaths(files.map(file => file.path));
  return files;
}

function readFile(item: unknown, where: string): UserDataFile {
  if (!(item instanceof Map))
    throw new UserDataError('ERR_USER_DATA_FORMAT', `${where} is not a table of keys`);
  for (const key of item.keys()) {
    if (key !== 'path' && key !== 'content') throw unknownKey(key, `${where} may have path and content`);
  }
  const path: unknown = item.get('path');
  const content: unknown = item.get('content') ?? '';
  if (typeof path !== 'string')
    throw new UserDataError('ERR_USER_DATA_FORMAT', `${where} has no path, or one that is no text`);
  if (typeof content !== 'string')
    throw new UserDataError('ERR_USER_DATA_FORMAT', `${where}.content is not a text`);
  return { path, content };
}

function checkHeader(text: string): void {
  const [first = ''] = text.replace(/^\ufeff/, '').split(/\r?\n/, 1);
  if (first.trimEnd() === HEADER) return;
  const seen = /^\s*</.test(first)
    ? 'it looks like a web page'
    : first.includes('\0') || first.startsWith('\u001f')
      ? 'it looks compressed'
      : /^(?:I2Nsb3VkLWNvbmZp|H4sI)/.test(first)
        ? 'it looks like base64, which this source should have undone'
        : 'its first line is another';
  throw new UserDataError('ERR_USER_DATA_FORMAT', `the user-data does not begin with ${HEADER}: ${seen}`, {
    hint: 'the source may be somebody else\u2019s, or the user-data was cut or encoded on the way',
  });
}

/** The failsafe schema knows tables, lists and text: `content: 0123` is those four characters, as Go reads it. */
function parseYaml(text: string): unknown {
  try {
    const document = parseDocument(text.replace(/^\ufeff/, ''), {
      schema: 'failsafe',
      merge: false,
      uniqueKeys: true,
      prettyErrors: false,
      logLevel: 'error',
    });
    const problem = document.errors[0] ?? document.warnings[0];
    if (problem !== undefined) {
      const line = text.slice(0, problem.pos[0]).split('\n').length;
      throw new UserDataError(
        'ERR_USER_DATA_FORMAT',
        `line ${line} of the user-data is not YAML that is understood (${problem.code})`,
      );
    }
    // An alias is never needed here, and is how a small text becomes a large one.
    return document.toJS({ mapAsMap: true, maxAliasCount: 0 }) as unknown;
  } catch (error) {
    if (error instanceof UserDataError) throw error;
    // Thousands of nested brackets, or an alias. The library's words may quote the text, so they are left out.
    const what =
      error instanceof RangeError
        ? 'it is nested too deep'
        : 'it has aliases or something else that is not for user-data';
    throw new UserDataError('ERR_USER_DATA_FORMAT', `the user-data cannot be read: ${what}`);
  }
}

function unknownKey(key: unknown, allowed: string): UserDataError {
  const name = typeof key === 'string' ? JSON.stringify(key.slice(0, 64)) : 'that is no text';
  return new UserDataError('ERR_USER_DATA_KEY', `the user-data has a key ${name}; ${allowed}`, {
    hint: 'nothing was written; user-data carries files and no other instructions',
  });
}

function checkPaths(paths: readonly string[]): void {
  const seen = new Set<string>();
  for (const path of paths) {
    const shown = JSON.stringify(path.slice(0, 200));
    if (!path.startsWith('/'))
      throw new UserDataError('ERR_USER_DATA_PATH', `the path ${shown} is not absolute`);
    const parts = path.slice(1).split('/');
    if (
      path.includes('\0') ||
      parts.some(part => part === '' || part === '.' || part === '..') ||
      Buffer.byteLength(path) > 4095
    ) {
      throw new UserDataError('ERR_USER_DATA_PATH', `the path ${shown} is not a plain path to a file`, {
        hint: 'write it without empty parts, . and ..',
      });
    }
    if (seen.has(path)) throw new UserDataError('ERR_USER_DATA_PATH', `the path ${shown} comes twice`);
    seen.add(path);
  }
}

function checkSize(bytes: number): void {
  if (bytes > MAX_USER_DATA_BYTES) {
    throw new UserDataError(
      'ERR_USER_DATA_TOO_LARGE',
      `the user-data has ${bytes} bytes, ${MAX_USER_DATA_BYTES} are allowed`,
    );
  }
}
