// SPDX-License-Identifier: Apache-2.0
// What the forwarder counts, and its Prometheus text. A handful of numbers, so no metrics library is loaded in the VM.
import { LOSS_CAUSES, type LossCause, type RelayObserver } from '@peerpod-tls/link';

/** Numbers asked for when the text is made. */
export interface Gauges {
  links(): number;
  /** When the material in force ends; null when plain text is served. */
  expiresAt(): Date | null;
}

export class Counters {
  readonly contentType = 'text/plain; version=0.0.4; charset=utf-8';
  readonly observer: RelayObserver;
  #gauges: Gauges | null = null;
  #links = 0;
  /** From the start, so that the first loss is an increase. */
  readonly #losses = new Map<string, number>(LOSS_CAUSES.map(cause => [cause, 0]));
  readonly #refusals = new Map<string, number>();
  readonly #calls = new Map<string, number>();
  readonly #bytes = new Map<string, number>();
  #protocolErrors = 0;

  constructor() {
    this.observer = {
      callEnded: (_service, _method, status) => add(this.#calls, String(status), 1),
      bytes: (direction, count) => add(this.#bytes, direction, count),
      protocolError: () => {
        this.#protocolErrors += 1;
      },
    };
  }

  watch(gauges: Gauges): void {
    this.#gauges = gauges;
  }

  linkOpened(): void {
    this.#links += 1;
  }

  linkLost(cause: LossCause): void {
    add(this.#losses, cause, 1);
  }

  /** `rule` is one of a closed set of words. */
  linkRefused(rule: string): void {
    add(this.#refusals, rule, 1);
  }

  /** Prometheus text exposition format 0.0.4. */
  metrics(): Promise<string> {
    const lines: string[] = [];
    const family = (
      name: string,
      type: string,
      help: string,
      values: Iterable<readonly [string, number]>,
    ): void => {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
      for (const [labels, value] of values) lines.push(`${name}${labels} ${value}`);
    };
    const expiresAt = this.#gauges?.expiresAt() ?? null;
    family('peerpod_forwarder_links', 'gauge', 'Links open now.', [['', this.#gauges?.links() ?? 0]]);
    family('peerpod_forwarder_links_total', 'counter', 'Links accepted.', [['', this.#links]]);
    family(
      'peerpod_forwarder_link_losses_total',
      'counter',
      'Links that broke, by cause; not those the adaptor hung up.',
      labelled('cause', this.#losses),
    );
    family(
      'peerpod_forwarder_refusals_total',
      'counter',
      'Peers refused, by rule.',
      labelled('rule', this.#refusals),
    );
    family(
      'peerpod_forwarder_calls_total',
      'counter',
      'Calls answered, by ttrpc status.',
      labelled('code', this.#calls),
    );
    family(
      'peerpod_forwarder_bytes_total',
      'counter',
      'Bytes passed on.',
      labelled('direction', this.#bytes),
    );
    family('peerpod_forwarder_protocol_errors_total', 'counter', 'Frames the protocol does not allow.', [
      ['', this.#protocolErrors],
    ]);
    if (expiresAt !== null) {
      family(
        'peerpod_forwarder_certificate_expiry_seconds',
        'gauge',
        'Seconds until the certificate expires.',
        [['', Math.round((expiresAt.getTime() - Date.now()) / 1000)]],
      );
    }
    family('process_resident_memory_bytes', 'gauge', 'Resident memory.', [['', process.memoryUsage.rss()]]);
    return Promise.resolve(`${lines.join('\n')}\n`);
  }
}

function add(counts: Map<string, number>, key: string, by: number): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}

function* labelled(label: string, counts: ReadonlyMap<string, number>): Generator<readonly [string, number]> {
  for (const [value, count] of counts) yield [`{${label}="${value}"}`, count];
}
