// SPDX-License-Identifier: Apache-2.0
// What the adaptor counts, for Prometheus. Labels come from closed sets only: a caller's words never become a label.
import {
  countFrom0,
  Counter,
  createRegistry,
  Gauge,
  Histogram,
  timeFrom0,
  type Registry,
} from '@peerpod-tls/daemon/metrics';
import type { MetricsSource } from '@peerpod-tls/daemon';
import { LOSS_CAUSES } from '@peerpod-tls/link/loss';
import { REFUSAL_RULES, type ProxyEvent } from '@peerpod-tls/proxy/control';
import { registerReadings, type MetricSources } from './metric-readings.js';

/** What a start goes through, in order. */
const START_PHASES = ['certificate', 'instance', 'agent', 'socket'] as const;
export type StartPhase = (typeof START_PHASES)[number];

type Counts = ReturnType<typeof countFrom0<string>>;
type Times = ReturnType<typeof timeFrom0<string>>;

export class Metrics {
  readonly #registry: Registry;
  readonly #sources: MetricSources;
  readonly #losses: Counts;
  readonly #redials: Counts;
  readonly #redialFailures: Counts;
  readonly #redialSeconds: Histogram;
  readonly #replayed: Counts;
  readonly #refusals: Counts;
  readonly #handshakeSeconds: Histogram;
  readonly #protocolErrors: Counter;
  readonly #threadsLost: Counter;
  readonly #issued: Counter;
  readonly #startSeconds: Times;
  readonly #phaseSeconds: Times;
  readonly #deletions: Counts;
  readonly #reaped: Counts;
  readonly #reloads: Counts;
  readonly #reloaded: Gauge;
  readonly #orphans: Gauge;
  readonly #setAside: Gauge;

  constructor(sources: MetricSources) {
    const registry = createRegistry('cloud-api-adaptor');
    const registers = [registry];
    this.#registry = registry;
    this.#sources = sources;
    this.#losses = countFrom0({
      name: 'peerpod_link_losses_total',
      help: 'Links to pod VMs that stood and were lost while their shim was there, by cause.',
      label: 'cause',
      values: LOSS_CAUSES,
      register: registry,
    });
    this.#redials = countFrom0({
      name: 'peerpod_redials_total',
      help: 'Lost links, by whether another one was made in time.',
      label: 'result',
      values: ['ok', 'resumed', 'failed'],
      register: registry,
    });
    this.#redialFailures = countFrom0({
      name: 'peerpod_redial_failures_total',
      help: 'Lost links that were not replaced, by what the last try met.',
      label: 'cause',
      values: LOSS_CAUSES,
      register: registry,
    });
    this.#redialSeconds = new Histogram({
      name: 'peerpod_redial_duration_seconds',
      help: 'From the loss of a link to its replacement.',
      buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20],
      registers,
    });
    this.#replayed = countFrom0({
      name: 'peerpod_redial_calls_total',
      help: 'Calls open when a link was lost: sent again, or answered Unavailable.',
      label: 'outcome',
      values: ['replayed', 'unavailable'],
      register: registry,
    });
    this.#refusals = countFrom0({
      name: 'peerpod_refusals_total',
      help: 'Links that were not made because one side refused the other, by rule.',
      label: 'rule',
      values: [...REFUSAL_RULES, 'other'],
      register: registry,
    });
    this.#handshakeSeconds = new Histogram({
      name: 'peerpod_handshake_duration_seconds',
      help: 'TLS handshakes with pod VMs that succeeded.',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    });
    this.#protocolErrors = new Counter({
      name: 'peerpod_protocol_errors_total',
      help: 'Frames that the protocol does not allow.',
      registers,
    });
    this.#threadsLost = new Counter({
      name: 'peerpod_data_path_threads_lost_total',
      help: 'Threads of the data path that ended by themselves, with the connections they had.',
      registers,
    });
    this.#issued = new Counter({
      name: 'peerpod_certificates_issued_total',
      help: 'Server certificates made for pod VMs.',
      registers,
    });
    this.#startSeconds = timeFrom0({
      name: 'peerpod_start_duration_seconds',
      help: 'StartVM from request to answer, by result.',
      label: 'result',
      values: ['ok', 'failed'],
      register: registry,
    });
    this.#phaseSeconds = timeFrom0({
      name: 'peerpod_start_phase_duration_seconds',
      help: 'Phases of StartVM that succeeded: its certificate, its instance, the first answer of its agent, its socket.',
      label: 'phase',
      values: START_PHASES,
      register: registry,
    });
    this.#deletions = countFrom0({
      name: 'peerpod_instance_deletions_total',
      help: 'Attempts to delete an instance, by result.',
      label: 'result',
      values: ['ok', 'failed'],
      register: registry,
    });
    this.#reaped = countFrom0({
      name: 'peerpod_dead_sandboxes_stopped_total',
      help: 'Running sandboxes that were stopped because their kata shim was gone, by result.',
      label: 'result',
      values: ['ok', 'failed'],
      register: registry,
    });
    this.#reloads = countFrom0({
      name: 'peerpod_certificate_reloads_total',
      help: 'Changed certificate files, by whether they were taken.',
      label: 'result',
      values: ['ok', 'refused'],
      register: registry,
    });
    this.#reloaded = new Gauge({
      name: 'peerpod_certificate_last_reload_successful',
      help: '1 while the certificates in force are those in the files, 0 after a reload that failed.',
      registers,
    });
    this.#reloaded.set(1);
    this.#orphans = new Gauge({
      name: 'peerpod_orphan_instances',
      help: 'Instances on the platform that belong to no sandbox of this adaptor, as last looked at.',
      registers,
    });
    this.#setAside = new Gauge({
      name: 'peerpod_state_files_set_aside',
      help: 'Sandbox records that could not be read at start.',
      registers,
    });
    registerReadings(registry, sources);
  }

  /** What the status server sends for `/metrics`. */
  get source(): MetricsSource {
    const { contentType } = this.#registry;
    return {
      contentType,
      metrics: async () => `${await this.#registry.metrics()}${await this.#sources.callFigures()}`,
    };
  }

  /** What the data plane tells. */
  proxyEvent(event: ProxyEvent): void {
    switch (event.t) {
      case 'handshake':
        this.#handshakeSeconds.observe(event.ms / 1000);
        return;
      case 'refused':
        this.#refusals.inc(REFUSAL_RULES.includes(event.rule) ? event.rule : 'other');
        return;
      case 'lost':
        this.#losses.inc(event.cause);
        return;
      case 'resumed':
        this.#losses.inc(event.cause);
        this.#redials.inc('resumed');
        this.#redialSeconds.observe(event.ms / 1000);
        return;
      case 'not-redialled':
        this.#redials.inc('failed');
        this.#redialFailures.inc(event.cause);
        return;
      case 'redialled':
        this.#redials.inc('ok');
        this.#redialSeconds.observe(event.ms / 1000);
        this.#replayed.inc('replayed', event.replayed);
        this.#replayed.inc('unavailable', event.unavailable);
        return;
      case 'protocol-error':
        this.#protocolErrors.inc();
        return;
      case 'thread-lost':
        this.#threadsLost.inc();
        return;
      case 'connected':
      case 'disconnected':
        return;
    }
  }

  issued(): void {
    this.#issued.inc();
  }

  started(result: 'ok' | 'failed', ms: number): void {
    this.#startSeconds.observe(result, ms / 1000);
  }

  /** @param ms How long the phase took. */
  phase(phase: StartPhase, ms: number): void {
    this.#phaseSeconds.observe(phase, ms / 1000);
  }

  deleted(result: 'ok' | 'failed'): void {
    this.#deletions.inc(result);
  }

  /** A sandbox was stopped because its shim was gone, or could not be at once. */
  reaped(result: 'ok' | 'failed'): void {
    this.#reaped.inc(result);
  }

  reloaded(ok: boolean): void {
    this.#reloads.inc(ok ? 'ok' : 'refused');
    this.#reloaded.set(ok ? 1 : 0);
  }

  orphans(count: number): void {
    this.#orphans.set(count);
  }

  setAside(count: number): void {
    this.#setAside.set(count);
  }
}
