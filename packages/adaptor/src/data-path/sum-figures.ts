// SPDX-License-Identifier: Apache-2.0
// Figures of several proxies as one text: counts and sums of the same series are added; a gauge is that of the first
// text that has it.

/** Texts in Prometheus' text format 0.0.4; series and their heads come in the order they are first met. */
export function sumFigures(texts: readonly string[]): string {
  const [only, second] = texts;
  if (only !== undefined && second === undefined) return only;
  /** By the name that heads speak of, the lines in front of its series. */
  const heads = new Map<string, string[]>();
  const series = new Map<string, Map<string, number>>();
  const gauges = new Set<string>();
  for (const text of texts) {
    let family = '';
    const own = new Set<string>();
    for (const line of text.split('\n')) {
      if (line === '') continue;
      if (line.startsWith('#')) {
        family = line.split(' ')[2] ?? '';
        if (!series.has(family)) {
          series.set(family, new Map());
          heads.set(family, []);
          own.add(family);
        }
        if (own.has(family)) heads.get(family)?.push(line);
        if (line === `# TYPE ${family} gauge`) gauges.add(family);
        continue;
      }
      const end = line.lastIndexOf(' ');
      const name = line.slice(0, end);
      const values = series.get(family) ?? new Map<string, number>();
      series.set(family, values);
      const value = Number(line.slice(end + 1));
      const sum = values.get(name);
      if (sum === undefined) values.set(name, value);
      else if (!gauges.has(family)) values.set(name, sum + value);
    }
  }
  const lines: string[] = [];
  for (const [family, values] of series) {
    lines.push(...(heads.get(family) ?? []));
    for (const [name, value] of values) lines.push(`${name} ${value}`);
  }
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}
