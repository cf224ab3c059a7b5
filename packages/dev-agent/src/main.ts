// SPDX-License-Identifier: Apache-2.0
// From the command line to a running agent and to an exit code.
import {
  createLogger,
  logFormatFlag,
  logLevelFlag,
  parseFlags,
  reportError,
  runServices,
  type Flag,
} from '@peerpod-tls/daemon';
import { devAgentService } from './dev-agent.js';

const PROGRAM = 'peerpod-dev-agent';
const DRAIN_MS = 10_000;

const flags = {
  socket: {
    type: 'string',
    default: '/run/kata-containers/agent.sock',
    describe: 'Unix socket to serve the agent protocol on',
    placeholder: 'PATH',
  },
  root: {
    type: 'string',
    default: '/',
    describe:
      "directory that stands for the pod VM's file system: files are copied and processes begin below it",
    placeholder: 'DIR',
  },
  'keep-socket': {
    type: 'boolean',
    describe:
      'leave the socket where it is when a sandbox is created; kata-agent deletes it, with all of /run/kata-containers, unless it was told to listen outside of that directory',
  },
  'outlive-sandbox': {
    type: 'boolean',
    describe: 'take another sandbox when one was destroyed; kata-agent ends then',
  },
  'log-level': logLevelFlag,
  'log-format': logFormatFlag,
} as const satisfies Record<string, Flag>;

const EPILOGUE = `This is a stand-in for kata-agent. It runs the processes of containers as ordinary processes of the user who
started it, in one file system and one network: NOTHING IS ISOLATED. No root file system, mount, device, capability,
limit or policy of a container is applied, and a terminal is a pair of pipes. Use it to develop and to try things out.
`;

/** Runs the program. Never rejects. */
export async function main(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  try {
    const parsed = parseFlags({
      program: PROGRAM,
      usage: `${PROGRAM} [-socket PATH] [-root DIR]`,
      flags,
      argv,
      env,
      epilogue: EPILOGUE,
    });
    if (parsed.t === 'help') {
      process.stdout.write(parsed.text);
      return 0;
    }
    const { values } = parsed;
    const log = createLogger({ name: PROGRAM, level: values['log-level'], format: values['log-format'] });
    const service = devAgentService({
      socket: values.socket,
      root: values.root,
      keepSocket: values['keep-socket'],
      ...(!values['outlive-sandbox'] && { onSandboxEnd: () => void process.kill(process.pid, 'SIGTERM') }),
      log,
      env,
    });
    return await runServices({ services: [service], log, drainMs: DRAIN_MS, env });
  } catch (error) {
    reportError(process.stderr, PROGRAM, error);
    return 1;
  }
}
