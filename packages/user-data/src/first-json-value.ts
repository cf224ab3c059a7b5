// SPDX-License-Identifier: Apache-2.0
// The first JSON value of a text that may go on after it, the way a stream decoder reads. Pure.

export type FirstJsonValue =
  | {
      readonly t: 'value';
      readonly value: unknown;
      /** Where the value ends, in UTF-16 units. */ readonly end: number;
    }
  | { readonly t: 'bad'; /** Where and what, without any of the text. */ readonly reason: string };

/** Finds where the first value ends, then leaves the rest to `JSON.parse`. */
export function firstJsonValue(text: string): FirstJsonValue {
  const start = text.search(/[^ \t\r\n]/);
  if (start === -1) return { t: 'bad', reason: 'it is empty' };
  const end = endOfValue(text, start);
  if (end === -1) return { t: 'bad', reason: 'it ends before its first value does' };
  try {
    return { t: 'value', value: JSON.parse(text.slice(start, end)) as unknown, end };
  } catch (error) {
    return { t: 'bad', reason: describe(error, text, start) };
  }
}

/** Counts brackets outside of strings. What is inside need not be right for that. */
function endOfValue(text: string, start: number): number {
  const opening = text[start];
  if (opening !== '{' && opening !== '[' && opening !== '"') {
    const length = text.slice(start).search(/[\s,\]}]/);
    return length === -1 ? text.length : start + Math.max(length, 1);
  }
  let depth = 0;
  for (let i = start; i < text.length; i++) {
    switch (text[i]) {
      case '"':
        i = endOfString(text, i);
        if (i === -1) return -1;
        break;
      case '{':
      case '[':
        depth += 1;
        break;
      case '}':
      case ']':
        depth -= 1;
        break;
    }
    if (depth === 0) return i + 1;
  }
  return -1;
}

/** Index of the closing quote, or -1. */
function endOfString(text: string, open: number): number {
  for (let i = open + 1; i < text.length; i++) {
    if (text[i] === '\\') i += 1;
    else if (text[i] === '"') return i;
  }
  return -1;
}

/** V8's own message quotes the text around the error, which here may be a private key. */
function describe(error: unknown, text: string, start: number): string {
  const position = /position (\d+)/.exec(error instanceof Error ? error.message : '')?.[1];
  if (position === undefined) return 'something in it is not JSON';
  const at = start + Number(position);
  const line = text.slice(0, at).split('\n').length;
  const column = at - text.lastIndexOf('\n', at - 1);
  return `line ${line}, column ${column} is not JSON`;
}
