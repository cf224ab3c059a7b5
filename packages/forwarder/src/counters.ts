// SPDX-License-Identifier: Apache-2.0
// What the forwarder counts, and its Prometheus text. A handful of numbers, so no metrics library is loaded in the VM.
import {
  LOSS_CAUSES,
  readsInForce,
  type LossCause,
  type RelayObserver,
  type SessionCounts,
} from '@peerpod-tls/link';

/** Status codes of ttrpc, which are gRPC's: 0 to 16. */
const STATUS_CODES = 17;

/** Numbers asked for when the text is made. */
export interface Gauges {
  links(): number;
  /** Of the links that can be resumed. */
  sessions(): SessionCounts;
  /** When the material in force ends; null when plain text is served. */
  expiresAt(): Date | null;
  /** Null while the material in force is what the files say. */
  trustTrouble(): string | null;
  /** Whether calls reach the agent. */
  agentConnected(): boolean;
}

export class Counters {
  readonly contentType = 'text/plain; version=0.0.4; charset=utf-8';
  readonly observer: RelayObserver;
  readonly #lentReads: boolean;
  #gauges: Gauges | null = null;
  #links = 0;
  /** From the start, so that the first loss is an increase. */
  readonly #losses = new Map<string, number>(LOSS_CAUSES.map(cause => [cause, 0]));
  readonly #refusals = new Map<string, number>();
  /** By status code; the last is for codes that do not exist, so that no agent can make series. */
  readonly #calls: number[] = Array.from({ length: STATUS_CODES + 1 }, () => 0);
  readonly #bytes = { request: 0, response: 0 };
  #protocolErrors = 0;
  #sessionsResumed = 0;
  #sessionsLost = 0;
  readonly #sessionRefusals = new Map<string, number>([
    ['unknown', 0],
    ['offset', 0],
    ['protocol', 0],
  ]);
  readonly #reloads = new Map<string, number>([
    ['ok', 0],
    ['refused', 0],
  ]);

  /** @throws LinkError when an environment variable says no way to read */
  constructor() {
    this.#lentReads = readsInForce() === 'lent';
    // In plain numbers: these two run for every call and every chunk.
    const ended = (status: number): void => {
      const code = status >= 0 && status < STATUS_CODES ? status : STATUS_CODES;
      this.#calls[code] = (this.#calls[code] ?? 0) + 1;
    };
    this.observer = {
      counter: () => ended,
      bytes: (direction, count) => {
        this.#bytes[direction] += count;
      },
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

  reloaded(ok: boolean): void {
    add(this.#reloads, ok ? 'ok' : 'refused', 1);
  }

  /** `rule` is one of a closed set of words. */
  linkRefused(rule: string): void {
    add(this.#refusals, rule, 1);
  }

  sessionResumed(): void {
    this.#sessionsResumed += 1;
  }

  /** One that could have been resumed ended. */
  sessionLost(): void {
    this.#sessionsLost += 1;
  }

  /** `reason` is one of a closed set of words. */
  sessionRefused(reason: string): void {
    add(this.#sessionRefusals, reason, 1);
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
    family('peerpod_forwarder_agent_connected', 'gauge', '1 while the connection to the agent stands.', [
      ['', this.#gauges?.agentConnected() === true ? 1 : 0],
    ]);
    const { linked, away } = this.#gauges?.sessions() ?? { linked: 0, away: 0 };
    family(
      'peerpod_forwarder_sessions',
      'gauge',
      'Links that can be resumed: those that stand, and those that were cut and wait for their client.',
      labelled('state', [
        ['linked', linked],
        ['away', away],
      ]),
    );
    family('peerpod_forwarder_sessions_resumed_total', 'counter', 'Links resumed after a cut.', [
      ['', this.#sessionsResumed],
    ]);
    family(
      'peerpod_forwarder_sessions_lost_total',
      'counter',
      'Links that were cut and not resumed in time.',
      [['', this.#sessionsLost]],
    );
    family(
      'peerpod_forwarder_session_refusals_total',
      'counter',
      'Tries to resume a link that were refused, by reason.',
      labelled('reason', this.#sessionRefusals),
    );
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
      labelled('code', calls(this.#calls)),
    );
    family(
      'peerpod_forwarder_bytes_total',
      'counter',
      'Bytes passed on.',
      labelled('direction', Object.entries(this.#bytes)),
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
    family(
      'peerpod_forwarder_certificate_reloads_total',
      'counter',
      'Attempts to take other certificates, by result.',
      labelled('result', this.#reloads),
    );
    family(
      'peerpod_forwarder_certificate_last_reload_successful',
      'gauge',
      '1 while the certificates in force are those in the files, 0 after a reload that failed.',
      [['', (this.#gauges?.trustTrouble() ?? null) === null ? 1 : 0]],
    );
    family(
      'peerpod_forwarder_lent_reads',
      'gauge',
      '1 where streams are read into one buffer that is lent, 0 where each read has one of its own and costs more.',
      [['', this.#lentReads ? 1 : 0]],
    );
    family('process_resident_memory_bytes', 'gauge', 'Resident memory.', [['', process.memoryUsage.rss()]]);
    return Promise.resolve(`${lines.join('\n')}\n`);
  }
}

function add(counts: Map<string, number>, key: string, by: number): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}

/** The codes that were met, by name of the label. */
function* calls(counts: readonly number[]): Generator<readonly [string, number]> {
  for (const [code, count] of counts.entries())
    if (count > 0) yield [code === STATUS_CODES ? 'other' : String(code), count];
}

function* labelled(
  label: string,
  counts: Iterable<readonly [string, number]>,
): Generator<readonly [string, number]> {
  for (const [value, count] of counts) yield [`{${label}="${value}"}`, count];
}
