// SPDX-License-Identifier: Apache-2.0
// The demo's proof that nothing a pod does depends on the adaptor: a command counts aloud while the adaptor is killed and
// started again, and every number has to arrive on the same connection.
import { Writable } from 'node:stream';
import { type TtrpcClient } from '@peerpod-tls/ttrpc';
import { Container } from '../shim/container.js';
import { span } from '../terminal/format.js';
import type { Step } from './story.js';

/** Counts to thirty, ten a second: longer than an adaptor takes to start. */
const COUNT_TO = 30;
const COUNTING = `n=0; while [ $n -lt ${COUNT_TO} ]; do n=$((n+1)); echo $n; sleep 0.1; done`;
/** The adaptor is killed once this was counted: the command runs, and has most of its way before it. */
const KILLED_AT = 3;

export interface Counted {
  readonly step: Step;
  readonly whole: boolean;
}

/** Runs the counting command on the shim's connection; `restart` kills the adaptor and resolves when another one is ready. */
export async function restartUnderCommand(
  client: TtrpcClient,
  sandbox: string,
  podName: string,
  restart: () => Promise<void>,
  signal: AbortSignal,
): Promise<Counted> {
  const id = `${sandbox}-count`;
  const args = ['sh', '-c', COUNTING];
  const container = new Container(client, { id, sandbox, podName, args, env: [], cwd: '/', rootfs: '/' });
  await container.create(signal);
  await container.start(signal);
  let restarted: Promise<number> | null = null;
  let text = '';
  const stdout = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString('latin1');
      if (text.includes(`${KILLED_AT}\n`)) {
        restarted ??= timed(restart);
        // It is awaited once the command has ended, or not at all when the connection is gone before.
        restarted.catch(() => {});
      }
      done();
    },
  });
  const stderr = new Writable({ write: (_chunk, _encoding, done) => done() });
  const exit = await container.finish({ stdin: null, stdout, stderr }, signal);
  const ms = await (restarted ?? Promise.resolve(0));
  await container.remove();
  const expected = Array.from({ length: COUNT_TO }, (_, n) => `${n + 1}\n`).join('');
  const whole = exit === 0 && text === expected && ms > 0;
  const lines = [
    `a command counted to ${COUNT_TO}; meanwhile the adaptor was killed (SIGKILL), and another one served after ${span(ms)}`,
    whole
      ? 'every number arrived, on the connection the shim had before'
      : `the command ended with ${exit}, and what arrived was ${JSON.stringify(text)}`,
  ];
  return { step: { name: 'restart', lines, fields: { exit, ms, whole } }, whole };
}

async function timed(use: () => Promise<void>): Promise<number> {
  const began = performance.now();
  await use();
  return performance.now() - began;
}
