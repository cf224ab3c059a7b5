// SPDX-License-Identifier: Apache-2.0
// The proxy that gets new sandboxes: the one somebody else runs where there is one, else one of this adaptor's own
// generation, which is started when nobody answers, and again whenever it has died.
import path from 'node:path';
import { Backoff, reasonOf, sleep } from '@peerpod-tls/base';
import { proxyFiles } from '@peerpod-tls/proxy/control';
import { AdaptorError } from '../errors.js';
import { DrivenProxy, type DrivenProxyOptions, type ProxyFacts } from './driven-proxy.js';
import { generationName, type ProxySettings } from './generation-name.js';
import { generationDirectory } from './left-generation.js';
import { answersOn, startProxy } from './proxy-process.js';

/** One that lived this long did not end because of how it began. */
const LIVED_MS = 60_000;
/** How long one that somebody else runs may be missing at start, in milliseconds. */
const FOREIGN_MS = 60_000;
/** So often a proxy of a name may have been retired, as by going back to an older release and forth again. */
const MOST_ROUNDS = 100;

type Parts = Omit<DrivenProxyOptions, 'controlSocket' | 'onGone'>;

export interface CurrentProxyOptions extends Parts {
  readonly stateDir: string;
  /** Control socket of a proxy that somebody else runs; null: one is started. */
  readonly proxySocket: string | null;
  readonly settings: ProxySettings;
  /** Proxies that were there before: theirs is a socket that may be taken over, and those of their names are not started. */
  readonly known: readonly ProxyFacts[];
}

export interface CurrentProxy {
  readonly proxy: DrivenProxy;
  /** Its directory among those of this adaptor; null for one that somebody else runs. */
  readonly generation: string | null;
}

/** @throws AdaptorError when none can be had; the signal's reason */
export async function currentProxy(o: CurrentProxyOptions, signal: AbortSignal): Promise<CurrentProxy> {
  const { proxySocket, settings } = o;
  if (proxySocket !== null) return { proxy: await foreign(o, proxySocket, signal), generation: null };
  const name = generationName(settings);
  for (let round = 1; round <= MOST_ROUNDS; round += 1) {
    const generation = round === 1 ? name : `${name}-${round}`;
    // Back to a release, or to settings, that were left before: it serves what it has, and another one takes what comes.
    if (o.known.some(known => known.generation === generation && known.retired)) continue;
    const proxy = ownProxy(o, generation);
    try {
      await proxy.start(signal);
      return { proxy, generation };
    } catch (error) {
      await proxy.disconnect();
      throw error;
    }
  }
  throw new Error('internal error: too many retired generations');
}

async function foreign(
  o: CurrentProxyOptions,
  controlSocket: string,
  signal: AbortSignal,
): Promise<DrivenProxy> {
  const { log } = o;
  const began = performance.now();
  let said = false;
  let started = false;
  const proxy = new DrivenProxy({
    ...o,
    controlSocket,
    onGreeted: before => {
      said = false;
      o.onGreeted(before);
    },
    onGone: async () => {
      if (!started && performance.now() - began > FOREIGN_MS) return 'give-up';
      if (!said) log.warn({ proxySocket: controlSocket }, 'no proxy answers, waiting for it');
      said = true;
      return 'again';
    },
  });
  try {
    await proxy.start(signal);
    started = true;
    if (proxy.facts.retired)
      throw new AdaptorError(
        'ERR_ADAPTOR_PROXY_RETIRED',
        `the proxy on ${controlSocket} takes no new sandbox`,
        {
          hint: 'it was retired; start another one, and give its control socket with -proxy-socket',
        },
      );
    return proxy;
  } catch (error) {
    await proxy.disconnect();
    throw error;
  }
}

function ownProxy(o: CurrentProxyOptions, generation: string): DrivenProxy {
  const { log, settings, stateDir } = o;
  const directory = generationDirectory(stateDir, generation);
  const backoff = new Backoff({ firstMs: 20, longestMs: 10_000, factor: 4, jitter: 0.1 });
  let startedAt = 0;
  let served = false;
  const proxy: DrivenProxy = new DrivenProxy({
    ...o,
    controlSocket: proxyFiles(directory).controlSocket,
    onGreeted: before => {
      served = true;
      o.onGreeted(before);
    },
    onGone: async signal => {
      if (served) {
        log.error(
          { generation, sandboxes: proxy.held.size },
          'proxy lost, its connections are closed; another one is started',
        );
        if (performance.now() - startedAt > LIVED_MS) backoff.reset();
        await sleep(backoff.next(), signal);
      }
      try {
        if (!served) await checkFree(o);
        await startProxy({ directory, generation, settings, log }, signal);
        startedAt = performance.now();
      } catch (error) {
        // The first refusal is the adaptor's own; later ones come while pods run.
        if (!served) throw error;
        log.error({ err: error, reason: reasonOf(error) }, 'proxy not started');
      }
      return 'again';
    },
  });
  return proxy;
}

/** A proxy takes the place of another's socket, so that a shim never meets none; what is somebody else's is left alone. */
async function checkFree({ settings: { socket }, known }: CurrentProxyOptions): Promise<void> {
  if (known.some(proxy => proxy.socket === socket) || !(await answersOn(socket))) return;
  throw new AdaptorError(
    'ERR_ADAPTOR_SOCKET_IN_USE',
    `the socket ${socket} is in use: a running process answers on it`,
    {
      hint: 'stop the other process, or give another path with -socket',
    },
  );
}

/** Of the generations of an adaptor. */
export const proxyDirectory = (stateDir: string): string => path.join(stateDir, 'proxy');
