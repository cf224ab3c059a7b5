// SPDX-License-Identifier: Apache-2.0
// The bench's command line: what may be asked, and a refusal that names the thing and the way out. Starts nothing.
import { parseArgs } from 'node:util';

/** What can be measured, with what a person is told of it. */
export const MEASUREMENTS = {
  throughput:
    'requests/s, latency and CPU of both halves under 1, 16 and 64 calls of 128 B, mixed sizes, 64 KiB, 1 MiB',
  growth: 'requests/s from 1 to 256 calls at a time, as lines',
  delay: "event-loop delay of the Node programs' halves under the same loads",
  handshakes: 'full mutual handshakes, and the CPU each costs the server',
  links: 'memory per idle link at 100, 1,000 and 5,000 links, and one busy link among them',
  sandboxes: '200 sandboxes of one adaptor at once: opened and called through, memory, one of them busy',
  threads:
    "2 and 8 busy sandboxes, and a quiet beside a busy one, with the adaptor's half on one thread and on two",
  records: "the adaptor's start with 1,000 records of running sandboxes",
  start: 'from exec to listening',
  issuing: 'certificates: key, signature and synced file',
} as const;

export type Measurement = keyof typeof MEASUREMENTS;

export interface Asked {
  readonly rounds: number;
  readonly seconds: number;
  readonly only: readonly Measurement[];
  readonly output: string;
  /** Node binaries; the first is what ratios are taken of. */
  readonly nodes: readonly string[];
  readonly against: string | null;
}

export type CommandLine =
  | { readonly t: 'run'; readonly asked: Asked }
  | { readonly t: 'help' }
  | { readonly t: 'refused'; readonly why: string };

const names = Object.keys(MEASUREMENTS);
const isMeasurement = (name: string): name is Measurement => Object.hasOwn(MEASUREMENTS, name);

export const usage = `Measures this project beside the TLS proxies found on this machine, and prints tables.

  npm run bench [-- --rounds N] [--seconds N] [--only WHAT[,WHAT...]] [--node BIN]... [--against COMMIT] [--output FILE]

  --rounds N        interleaved rounds (default 5)
  --seconds N       length of one load, in seconds (default 1)
  --only WHAT       what to measure, several with commas between (default all):
${Object.entries(MEASUREMENTS)
  .map(([name, what]) => `                      ${name.padEnd(11)} ${what}`)
  .join('\n')}
  --node BIN        a Node binary that runs our halves and the bare Node pumps; given twice, both are sides of the same
                    run (default the one that runs the bench)
  --against COMMIT  builds that commit in a worktree of its own and measures it as one more side, "before"
  --output FILE     where the figures go as JSON; the lines of growth go beside it as SVG (default bench.json)
  --help            this text

Peers that are not installed (haproxy, stunnel4, nginx with its stream module, a Go toolchain) are left out and named;
without a C compiler the load is Go's ttrpc client, and without Go our own, both of which cost more than the C one and
so pull all ratios towards 1. A whole run with --rounds 3 on two Node releases takes about 20 minutes on two cores.
`;

function refuse(why: string): CommandLine {
  return { t: 'refused', why };
}

export function readCommandLine(args: readonly string[], ownNode: string): CommandLine {
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        rounds: { type: 'string', default: '5' },
        seconds: { type: 'string', default: '1' },
        only: { type: 'string', multiple: true, default: [] },
        node: { type: 'string', multiple: true, default: [] },
        against: { type: 'string' },
        output: { type: 'string', default: 'bench.json' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }));
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
  if (values.help) return { t: 'help' };
  const rounds = Number(values.rounds);
  const seconds = Number(values.seconds);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 1000)
    return refuse(`--rounds is ${JSON.stringify(values.rounds)}, not a whole number from 1 to 1000`);
  if (!(seconds >= 0.05 && seconds <= 3600))
    return refuse(
      `--seconds is ${JSON.stringify(values.seconds)}, not a number of seconds from 0.05 to 3600`,
    );
  const only = values.only.flatMap(list => list.split(',')).map(name => name.trim());
  const unknown = only.find(name => !isMeasurement(name));
  if (unknown !== undefined)
    return refuse(`--only has ${JSON.stringify(unknown)}; there are ${names.join(', ')}`);
  if (values.node.includes('')) return refuse('--node is empty; it takes the path of a Node binary');
  if (values.against === '' || values.against?.startsWith('-') === true)
    return refuse(`--against is ${JSON.stringify(values.against)}, not the name of a commit`);
  const chosen = only.filter(isMeasurement);
  return {
    t: 'run',
    asked: {
      rounds,
      seconds,
      only: Object.keys(MEASUREMENTS)
        .filter(isMeasurement)
        .filter(name => chosen.length === 0 || chosen.includes(name)),
      output: values.output,
      nodes: values.node.length === 0 ? [ownNode] : [...new Set(values.node)],
      against: values.against ?? null,
    },
  };
}
