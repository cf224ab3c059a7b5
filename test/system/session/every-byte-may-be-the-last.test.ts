// SPDX-License-Identifier: Apache-2.0
// The link is cut at every byte of a call that may not run twice, and of its answer: the agent sees it once, the caller
// has its one answer, and nobody is told of the cut.
import { randomBytes, randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { countedPod, type CountedPod } from '../../kit/counted-pod.js';
import { patternAt, sha256 } from '../../kit/counting-agent.js';
import type { CutBy, Direction } from '../../kit/joint.js';
import type { ShimAgent } from '../../kit/shim.js';

const LONG = 65_536;
/** A TLS record holds so many bytes; what is special lies around where one ends. */
const RECORD = 16_384;
/** What a record has besides its content, a frame's header, and a little more. */
const AROUND = 48;

/** Long enough for acknowledgements that come by themselves. */
const QUIET_MS = 250;

interface Call {
  readonly name: string;
  readonly direction: Direction;
  readonly offsets: (length: number) => readonly number[];
  /** Makes the call; rejects, or gives what is wrong with its outcome. */
  readonly make: (pod: CountedPod, shim: ShimAgent, at: number) => Promise<string | null>;
}

const every = (length: number): readonly number[] => Array.from({ length: length + 1 }, (_, at) => at);

/** Of a long call every byte is half an hour of cuts. */
const ALL = process.env['PEERPOD_EVERY_BYTE'] === '1';
t.setTimeout(ALL ? 3_600_000 : 180_000);
const STEP = 97;
/** Other places in each run. */
const phase = Number(process.env['PEERPOD_SEED'] ?? randomInt(STEP)) % STEP;

/** Every byte at both ends and around each record, some in between. */
const some = (length: number): readonly number[] =>
  every(length).filter(at => {
    const inRecord = at % (RECORD + 22);
    const special = at < 2 * AROUND || length - at < 2 * AROUND || inRecord < AROUND;
    return ALL || special || at % STEP === phase;
  });

const once = (pod: CountedPod, id: string): string | null => {
  const times = pod.agent.seen.get(id) ?? 0;
  return times === 1 ? null : `the agent saw ${id} ${times} times`;
};

const create: Call['make'] = async (pod, { agent }, at) => {
  const id = `container-${at}`;
  await agent.CreateContainer({
    containerId: id,
    execId: id,
    OCI: {
      Version: '1.1.0',
      Annotations: { filler: 'x'.repeat(200) },
      Process: { Args: ['sleep', '600'] },
      Linux: {},
    },
  });
  return once(pod, id);
};

const data = randomBytes(LONG);

const calls: readonly Call[] = [
  { name: 'a request of CreateContainer', direction: 'up', offsets: every, make: create },
  { name: 'an answer of CreateContainer', direction: 'down', offsets: every, make: create },
  {
    name: 'a WriteStdin of 64 KiB',
    direction: 'up',
    offsets: some,
    make: async (pod, { agent }, at) => {
      const execId = `stdin-${at}`;
      const { len } = await agent.WriteStdin({ containerId: 'c', execId, data });
      const { length, sha256: hash } = pod.agent.stdinOf(execId);
      if (len !== LONG) return `${len} bytes were reported as written`;
      return length === LONG && hash === sha256(data) ? null : `the agent was written ${length} bytes`;
    },
  },
  {
    name: 'an answer of ReadStdout of 64 KiB',
    direction: 'down',
    offsets: some,
    make: async (pod, { agent }, at) => {
      const execId = `stdout-${at}`;
      const answer = await agent.ReadStdout({ containerId: 'c', execId, len: LONG });
      if (pod.agent.stdoutOf(execId) !== LONG) return `the agent gave ${pod.agent.stdoutOf(execId)} bytes`;
      return patternAt(0, LONG).equals(answer.data) ? null : `${answer.data.length} other bytes came`;
    },
  },
];

const kindOf = (at: number): CutBy => (at % 40 === 39 ? 'silence' : at % 2 === 0 ? 'reset' : 'end');

async function cutEverywhere(t: Test, { direction, offsets, make }: Call): Promise<void> {
  const pod = await countedPod(t);
  const { cable } = pod;
  const shim = await pod.dial();
  await make(pod, shim, -1);
  await sleep(QUIET_MS);
  const before = cable.passed[direction];
  await make(pod, shim, -2);
  const length = cable.passed[direction] - before;
  const faults: string[] = [];
  const where = offsets(length);
  const taken = cable.taken;
  let cuts = 0;
  for (const offset of where) {
    const cut = cable.cutAfter({ direction, after: offset, by: kindOf(offset) });
    const fault = await make(pod, shim, offset).catch((error: unknown) => String(error));
    if (fault !== null) faults.push(`cut by ${kindOf(offset)} after ${offset} of ${length} bytes: ${fault}`);
    if (cut.done) cuts += 1;
    cut.cancel();
    if (faults.length > 20) break;
  }
  t.strictSame(faults, []);
  // What is acknowledged besides makes lengths vary: the last few bytes may not come.
  t.ok(cuts > where.length * 0.9, `${cuts} cuts at ${where.length} places of ${length} bytes`);
  t.ok(cable.taken - taken >= cuts - 1, `${cable.taken - taken} links were dialled`);
  t.equal(pod.agent.connections, 1, 'the agent has the one connection');
}

t.comment(`PEERPOD_SEED=${phase} cuts at the same places, PEERPOD_EVERY_BYTE=1 at all`);
for (const call of calls) t.test(`${call.name}, cut at every byte, is one call`, t => cutEverywhere(t, call));
