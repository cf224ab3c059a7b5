// SPDX-License-Identifier: Apache-2.0
// `peerpod proxy stop`: ends proxies, those with pods only when told so.
import { messageOf } from '@peerpod-tls/base';
import type { Line } from '../command.js';
import { CliError } from '../errors.js';
import { ExitCode, type Io } from '../io.js';
import { report } from '../report.js';
import { callError } from '../shim/call-error.js';
import { count } from '../terminal/format.js';
import { printable } from '../terminal/text.js';
import { type FoundProxy, type ProxySandbox, findProxies, sandboxOf, withProxy } from './proxies.js';

/** With pods left, a proxy waits for their shims' last calls before it ends; the answer comes before that. */
const STOP_TIMEOUT_MS = 10_000;

export interface ProxyStopValues {
  readonly 'state-dir': string;
  readonly 'proxy-socket': string;
  readonly now: boolean;
  readonly json: boolean;
}

interface Stopped {
  readonly generation: string;
  readonly stopping: boolean;
  /** With `-now` the pods that end; else those that keep it from ending. */
  readonly sandboxes: readonly ProxySandbox[];
  readonly error: string;
}

export async function stopProxies({ values, words }: Line<ProxyStopValues>, io: Io): Promise<number> {
  const found = await findProxies({
    stateDir: values['state-dir'],
    proxySocket: values['proxy-socket'],
  });
  const chosen = words.length === 0 ? found : words.map(word => named(found, word));
  if (chosen.length === 0 && !values.json) io.stderr.write('no proxy runs here\n');
  const results: Stopped[] = [];
  for (const one of chosen) {
    const result = await stopOne(one, values.now);
    results.push(result);
    if (!values.json) tell(result, values.now, io);
  }
  if (values.json) io.stdout.write(`${JSON.stringify({ proxies: results }, null, 2)}\n`);
  return results.every(result => result.stopping) ? ExitCode.ok : ExitCode.failed;
}

function named(found: readonly FoundProxy[], word: string): FoundProxy {
  const [one, other] = found.filter(proxy => generationOf(proxy).startsWith(word));
  if (one !== undefined && other === undefined) return one;
  const there = found.map(generationOf).join(', ');
  throw new CliError(
    'ERR_CLI_NO_PROXY',
    one === undefined
      ? `no proxy has the generation ${JSON.stringify(word)}`
      : `${JSON.stringify(word)} is the beginning of several generations`,
    { hint: there === '' ? 'no proxy runs here' : `there are ${there}` },
  );
}

const generationOf = (one: FoundProxy): string =>
  one.t === 'running' ? one.proxy.generation : one.generation;

async function stopOne(one: FoundProxy, now: boolean): Promise<Stopped> {
  const generation = generationOf(one);
  if (one.t === 'silent') return { generation, stopping: false, sandboxes: [], error: one.error };
  try {
    const answer = await withProxy(one.proxy.control, proxy =>
      proxy.Stop({ now }, { timeoutMs: STOP_TIMEOUT_MS }),
    );
    return { generation, stopping: answer.stopping, sandboxes: answer.sandboxes.map(sandboxOf), error: '' };
  } catch (error) {
    return { generation, stopping: false, sandboxes: [], error: messageOf(callError('Stop', error)) };
  }
}

function tell(result: Stopped, now: boolean, io: Io): void {
  const { generation, stopping, sandboxes, error } = result;
  if (stopping) io.stdout.write(`${printable(generation)}\n`);
  const pods = count(sandboxes.length, 'pod');
  if (stopping && sandboxes.length > 0) io.stderr.write(`${pods} ended with it:\n`);
  else if (!stopping) {
    const why = error === '' ? `${pods} would end with it` : error;
    report(
      io,
      `peerpod proxy stop ${printable(generation)}`,
      new CliError('ERR_CLI_CALL_FAILED', why, {
        hint: error === '' && !now ? '-now ends it and these pods' : 'peerpod proxy list shows what is there',
      }),
    );
  }
  for (const { id, pod } of sandboxes) io.stderr.write(`  ${printable(id)}  ${printable(pod)}\n`);
}
