// SPDX-License-Identifier: Apache-2.0
// From the OCI process of a request to what is run: arguments, environment, directory and user, all checked. Starts nothing.
import type { grpc } from '@peerpod-tls/agent-protocol';
import type { ProcessPlan } from './guest-process.js';
import { ensureGuestDirectory } from './guest-path.js';
import { invalidArgument } from './guest-status.js';
import { MARK } from './process-scan.js';

/** Variables of the agent's own environment by which those who started it find everything it has started. */
const HANDED_ON = ['PEERPOD_LOCAL_VM', 'PEERPOD_DEMO'] as const;

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface PlanContext {
  /** Directory that stands for the guest's `/`. */
  readonly root: string;
  /** Value of the mark that ties the process to its container. */
  readonly mark: string;
  /** Environment of the agent. */
  readonly env: NodeJS.ProcessEnv;
}

/** @throws StatusError InvalidArgument for what cannot be run; the system's error for a directory that cannot be had */
export function planProcess(
  process: grpc.Process.$Properties | null | undefined,
  context: PlanContext,
): ProcessPlan {
  if (process === null || process === undefined) throw invalidArgument('the request has no process to run');
  const [program, ...rest] = process.Args ?? [];
  if (program === undefined || program === '')
    throw invalidArgument('the process has no Args: nothing to run');
  for (const word of [program, ...rest]) {
    if (word.includes('\0')) throw invalidArgument('an argument of the process has a zero byte in it');
  }
  return {
    args: [program, ...rest],
    env: environment(process.Env ?? [], context),
    cwd: ensureGuestDirectory(context.root, process.Cwd === '' ? '/' : (process.Cwd ?? '/')),
    user: userOf(process.User),
    terminal: process.Terminal ?? false,
  };
}

function environment(lines: readonly string[], context: PlanContext): Record<string, string> {
  const env = new Map<string, string>([['PATH', DEFAULT_PATH]]);
  for (const line of lines) {
    const equals = line.indexOf('=');
    if (equals < 1 || line.includes('\0')) {
      throw invalidArgument(`${JSON.stringify(line.slice(0, 64))} in the environment is not NAME=value`);
    }
    env.set(line.slice(0, equals), line.slice(equals + 1));
  }
  for (const name of HANDED_ON) {
    const value = context.env[name];
    if (value !== undefined) env.set(name, value);
  }
  env.set(MARK, context.mark);
  return Object.fromEntries(env);
}

/** Only root can run something as somebody else; anybody else runs everything as himself. */
function userOf(user: grpc.User.$Properties | null | undefined): { uid: number; gid: number } | undefined {
  const uid = user?.UID ?? 0;
  const gid = user?.GID ?? 0;
  if (process.geteuid?.() !== 0 || (uid === 0 && gid === 0)) return undefined;
  return { uid, gid };
}
