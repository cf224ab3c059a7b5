// SPDX-License-Identifier: Apache-2.0
// Figures that are read when somebody asks for the metrics, rather than counted as things happen.
import { Counter, Gauge, type Registry } from '@peerpod-tls/daemon/metrics';
import type { ThreadView } from '@peerpod-tls/proxy/control';
import type { Expiry } from '@peerpod-tls/trust';
import { SANDBOX_STATES, type Sandbox } from './sandboxes/sandbox.js';

/** What is asked for at the moment somebody reads the metrics. */
export interface MetricSources {
  sandboxes(): Iterable<Sandbox>;
  expiries(): readonly Expiry[];
  /** Threads that carry data; none before there is a data plane. */
  threads(): Promise<readonly ThreadView[]>;
  /** Running sandboxes whose shim is gone. */
  withoutShim(): number;
  /** Whether the provider said that it could make an instance. */
  providerReady(): boolean;
  /** Figures of calls, as text; empty before there is a data plane. */
  callFigures(): Promise<string>;
}

export function registerReadings(registry: Registry, sources: MetricSources): void {
  registry.registerMetric(
    new Gauge({
      name: 'peerpod_links',
      help: 'Connections of shims that are being relayed to a pod VM.',
      registers: [],
      async collect() {
        const threads = await sources.threads();
        this.set(threads.reduce((sum, { connections }) => sum + connections, 0));
      },
    }),
  );
  registerThreads(registry, sources);
  registry.registerMetric(
    new Gauge({
      name: 'peerpod_sandboxes_without_shim',
      help: 'Running sandboxes whose kata shim is gone: their VMs live on until somebody stops them.',
      registers: [],
      collect() {
        this.set(sources.withoutShim());
      },
    }),
  );
  registry.registerMetric(
    new Gauge({
      name: 'peerpod_provider_ready',
      help: '1 while the provider says that an instance could be made, else 0.',
      registers: [],
      collect() {
        this.set(sources.providerReady() ? 1 : 0);
      },
    }),
  );
  registry.registerMetric(
    new Gauge({
      name: 'peerpod_sandboxes',
      help: 'Sandboxes by state.',
      labelNames: ['state'],
      registers: [],
      collect() {
        const counts = new Map<string, number>(SANDBOX_STATES.map(state => [state, 0]));
        for (const { state } of sources.sandboxes()) counts.set(state.t, (counts.get(state.t) ?? 0) + 1);
        for (const [state, count] of counts) this.set({ state }, count);
      },
    }),
  );
  registry.registerMetric(
    new Gauge({
      name: 'peerpod_certificate_expiry_seconds',
      help: 'Seconds until the first certificate of a kind expires; negative when it has. No value: there is none.',
      labelNames: ['kind'],
      registers: [],
      collect() {
        this.reset();
        const first = new Map<string, number>();
        const note = (kind: string, at: number): void => {
          const left = (at - Date.now()) / 1000;
          if (Number.isFinite(left))
            first.set(kind, Math.min(left, first.get(kind) ?? Number.POSITIVE_INFINITY));
        };
        for (const { kind, notAfter } of sources.expiries()) note(kind, notAfter.getTime());
        for (const { leaf, state } of sources.sandboxes()) {
          if (leaf !== null && state.t === 'running') note('leaf', Date.parse(leaf.notAfter));
        }
        for (const [kind, seconds] of first) this.set({ kind }, seconds);
      },
    }),
  );
}

function registerThreads(registry: Registry, { threads }: MetricSources): void {
  const gauges = [
    ['peerpod_data_path_sandboxes', 'Sandboxes on a thread of the data path.', 'sandboxes'],
    ['peerpod_data_path_links', 'Connections of shims on a thread of the data path.', 'connections'],
  ] as const;
  for (const [name, help, field] of gauges) {
    registry.registerMetric(
      new Gauge({
        name,
        help: `${help} Thread 0 is the one that does everything else, too.`,
        labelNames: ['thread'],
        registers: [],
        async collect() {
          this.reset();
          for (const view of await threads()) this.set({ thread: view.thread }, view[field]);
        },
      }),
    );
  }
  registry.registerMetric(
    new Counter({
      name: 'peerpod_data_path_busy_seconds_total',
      help: "How long a thread's event loop was at work; near 1 a second, its sandboxes wait for each other.",
      labelNames: ['thread'],
      registers: [],
      async collect() {
        this.reset();
        for (const view of await threads()) this.inc({ thread: view.thread }, view.busySeconds);
      },
    }),
  );
}
