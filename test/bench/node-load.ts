// SPDX-License-Identifier: Apache-2.0
// Where there is no Go: a load that plays the shim on our own ttrpc client.
import { TtrpcClient } from '@peerpod-tls/ttrpc';
import { connect } from 'node:net';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    socket: { type: 'string', default: '' },
    concurrency: { type: 'string', default: '1' },
    size: { type: 'string', default: '128' },
    seconds: { type: 'string', default: '2' },
    warmup: { type: 'string', default: '0.3' },
  },
  args: process.argv.slice(2).map(arg => arg.replace(/^-(?!-)/, '--')),
});
const client = new TtrpcClient(connect(values.socket));
const payloads = values.size.split(',').map(size => new Uint8Array(Number(size)));
let calls = 0;
let bytes = 0;
const samples: number[] = [];
const begin = performance.now() + Number(values.warmup) * 1000;
const end = begin + Number(values.seconds) * 1000;

async function worker(): Promise<void> {
  while (performance.now() < end) {
    const payload = payloads[calls % payloads.length] ?? new Uint8Array();
    calls += 1;
    bytes += payload.length;
    const begun = performance.now();
    const answer = await client.call('grpc.AgentService', 'ExecProcess', payload);
    if (answer.length !== payload.length)
      throw new Error(`answer of ${answer.length} bytes to a call of ${payload.length}`);
    if (begun >= begin) samples.push((performance.now() - begun) * 1000);
  }
}
await Promise.all(Array.from({ length: Number(values.concurrency) }, worker));
samples.sort((a, b) => a - b);
const at = (part: number): number => samples[Math.floor(part * (samples.length - 1))] ?? Number.NaN;
const rps = samples.length / Number(values.seconds);
process.stdout.write(
  `${JSON.stringify({ rps, p50us: at(0.5), p90us: at(0.9), p99us: at(0.99), maxus: at(1), calls, bytes })}\n`,
);
client.close();
