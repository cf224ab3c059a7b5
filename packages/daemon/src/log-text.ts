// SPDX-License-Identifier: Apache-2.0
// A line of the log for people: time, level, event, then the fields as name=value. One event is one line, whatever is in
// it. Made from the JSON line, so that both formats say the same and the same was cut out of both.

/** The text of one line of JSON; a line that is none stays as it is. */
export function textLine(line: string): string {
  const fields = parse(line);
  if (fields === null) return line;
  const { time, level, msg, name: _, pid: __, ...rest } = fields;
  const words = [
    String(time ?? ''),
    String(level ?? '')
      .toUpperCase()
      .padEnd(5),
    clean(String(msg ?? '')),
  ];
  for (const [key, value] of Object.entries(rest)) words.push(...field(key, value));
  return `${words.join(' ')}\n`;
}

/** An object becomes a field for each of its members, like `err.code`; a list stays JSON. */
function field(key: string, value: unknown): string[] {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return Object.entries(value).flatMap(([name, inner]) => field(`${key}.${name}`, inner));
  return [`${clean(key)}=${typeof value === 'string' ? quoted(value) : clean(JSON.stringify(value))}`];
}

function quoted(text: string): string {
  return /^[^\s"=\\\p{C}]+$/u.test(text) ? text : clean(JSON.stringify(text));
}

/** JSON escapes line ends and some control characters; a terminal minds the others, too. */
function clean(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    char => `\\u${char.codePointAt(0)?.toString(16).padStart(4, '0')}`,
  );
}

function parse(line: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? { ...value } : null;
  } catch {
    return null;
  }
}
