// SPDX-License-Identifier: Apache-2.0
// Counts what passes through the relays, in plain numbers: this runs for every call and every chunk, where a metrics
// library's label look-ups would be a twentieth of a call's cost. The text for Prometheus is written when it is asked for.
import { agentMethods, agentServiceName, healthServiceName } from '@peerpod-tls/agent-protocol/wire';
import type { CallEnded } from '@peerpod-tls/link';
import { StatusCode } from '@peerpod-tls/ttrpc';

const HEALTH_METHODS = ['Check', 'Version'];
const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 120] as const;
const BYTES = [64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304] as const;
const CODE_NAMES: readonly string[] = Object.entries(StatusCode)
  .toSorted(([, a], [, b]) => a - b)
  .map(([name]) => name);
/** Label of methods and codes outside the known tables: a caller must not be able to make series. */
const OTHER = 'other';

class Distribution {
  readonly #bounds: readonly number[];
  /** One more than there are bounds: the last is for what is above them all. */
  readonly #counts: number[];
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  add(value: number): void {
    let at = 0;
    while (at < this.#bounds.length && value > (this.#bounds[at] ?? 0)) at += 1;
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#sum += value;
  }

  /** Every count, and the sum last. */
  figures(): number[] {
    return [...this.#counts, this.#sum];
  }

  /** Takes as many numbers off the front as `figures` gave, and adds them. */
  absorb(figures: Iterator<number>): void {
    for (let at = 0; at < this.#counts.length; at += 1)
      this.#counts[at] = (this.#counts[at] ?? 0) + nextOf(figures);
    this.#sum += nextOf(figures);
  }

  /** The series of one histogram; `labels` as in `method="x"`. */
  lines(name: string, labels: string): string[] {
    let total = 0;
    const lines = this.#counts.map((count, at) => {
      total += count;
      const bound = this.#bounds[at];
      return `${name}_bucket{le="${bound === undefined ? '+Inf' : bound}",${labels}} ${total}`;
    });
    lines.push(`${name}_sum{${labels}} ${this.#sum}`, `${name}_count{${labels}} ${total}`);
    return lines;
  }
}

class MethodStats {
  readonly label: string;
  readonly seconds = new Distribution(SECONDS);
  /** By status code; the last is for codes that do not exist. */
  readonly codes: number[] = Array.from({ length: CODE_NAMES.length + 1 }, () => 0);

  constructor(label: string) {
    this.label = label;
  }

  /** @param ms From the request's first byte to the answer's. */
  readonly ended = (status: number, ms: number): void => {
    this.seconds.add(ms / 1000);
    const code = status >= 0 && status < CODE_NAMES.length ? status : CODE_NAMES.length;
    this.codes[code] = (this.codes[code] ?? 0) + 1;
  };
}

class DirectionStats {
  total = 0;
  readonly sizes = new Distribution(BYTES);

  add(count: number): void {
    this.total += count;
    this.sizes.add(count);
  }
}

export class CallStats {
  readonly #known: ReadonlyMap<string, ReadonlyMap<string, MethodStats>> = new Map([
    [agentServiceName, statsOf(agentMethods)],
    [healthServiceName, statsOf(HEALTH_METHODS)],
  ]);
  readonly #other = new MethodStats(OTHER);
  readonly #directions = { request: new DirectionStats(), response: new DirectionStats() };

  /** Whom to tell of each end of a call of this method. */
  counter(service: string, method: string): CallEnded {
    return (this.#known.get(service)?.get(method) ?? this.#other).ended;
  }

  bytes(direction: 'request' | 'response', count: number): void {
    this.#directions[direction].add(count);
  }

  /** Every number in it, in an order that is the same in each process of this version. */
  figures(): number[] {
    const numbers: number[] = [];
    for (const { codes, seconds } of this.#methods()) numbers.push(...codes, ...seconds.figures());
    for (const { total, sizes } of Object.values(this.#directions)) numbers.push(total, ...sizes.figures());
    return numbers;
  }

  /** Adds what `figures` of another one said, so that several make one text. */
  absorb(numbers: readonly number[]): void {
    const figures = numbers.values();
    for (const { codes, seconds } of this.#methods()) {
      for (let at = 0; at < codes.length; at += 1) codes[at] = (codes[at] ?? 0) + nextOf(figures);
      seconds.absorb(figures);
    }
    for (const direction of Object.values(this.#directions)) {
      direction.total += nextOf(figures);
      direction.sizes.absorb(figures);
    }
  }

  #methods(): readonly MethodStats[] {
    const methods: MethodStats[] = [];
    for (const known of this.#known.values()) methods.push(...known.values());
    return [...methods, this.#other];
  }

  /** In Prometheus' text format 0.0.4; methods nobody called are left out. */
  text(): string {
    const called = this.#methods().filter(({ codes }) => codes.some(count => count > 0));
    const directions = Object.entries(this.#directions);
    return [
      ...head('peerpod_calls_total', 'counter', 'Calls of shims that ended, by method and status.'),
      ...called.flatMap(({ label, codes }) =>
        codes.flatMap((count, code) =>
          count === 0
            ? []
            : [`peerpod_calls_total{method="${label}",code="${CODE_NAMES[code] ?? OTHER}"} ${count}`],
        ),
      ),
      ...head(
        'peerpod_call_duration_seconds',
        'histogram',
        "From a call's first byte to its answer's, by method.",
      ),
      ...called.flatMap(({ label, seconds }) =>
        seconds.lines('peerpod_call_duration_seconds', `method="${label}"`),
      ),
      ...head('peerpod_bytes_total', 'counter', 'Bytes passed on, headers included, by direction.'),
      ...directions.map(([name, { total }]) => `peerpod_bytes_total{direction="${name}"} ${total}`),
      ...head('peerpod_transfer_bytes', 'histogram', 'Bytes passed on at a time, by direction.'),
      ...directions.flatMap(([name, { sizes }]) =>
        sizes.lines('peerpod_transfer_bytes', `direction="${name}"`),
      ),
      '',
    ].join('\n');
  }
}

function nextOf(figures: Iterator<number>): number {
  const { value } = figures.next();
  if (typeof value !== 'number') throw new Error('internal error: figures of another version');
  return value;
}

function statsOf(methods: readonly string[]): ReadonlyMap<string, MethodStats> {
  return new Map(methods.map(method => [method, new MethodStats(method)]));
}

function head(name: string, type: 'counter' | 'histogram', help: string): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`];
}
