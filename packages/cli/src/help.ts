// SPDX-License-Identifier: Apache-2.0
// The page that `peerpod help` prints, and the list of subcommands it is made from.
import type { Command } from './command.js';

/** A subcommand as the help and the dispatcher know it; its code is loaded only when it is used. */
export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  load(): Promise<Command>;
}

export interface CommandGroup {
  readonly title: string;
  readonly commands: readonly CommandEntry[];
}

const groups: readonly CommandGroup[] = [
  {
    title: 'Try it',
    commands: [
      {
        name: 'demo',
        summary: 'one pod from nothing to a command running behind mutual TLS, shown step by step',
        load: async () => (await import('./demo/demo.js')).demo,
      },
    ],
  },
  {
    title: 'Drive an adaptor, as a kata shim does',
    commands: [
      {
        name: 'run',
        summary: 'create a pod VM, run a command in it, pass its streams and exit code on',
        load: async () => (await import('./shim/run.js')).run,
      },
      {
        name: 'stop',
        summary: 'stop pod VMs',
        load: async () => (await import('./shim/stop.js')).stop,
      },
      {
        name: 'agent',
        summary: 'call any method of an agent through its socket, JSON in and out',
        load: async () => (await import('./agent/agent.js')).agent,
      },
    ],
  },
  {
    title: 'Look at it',
    commands: [
      {
        name: 'ps',
        summary: 'list the sandboxes of an adaptor',
        load: async () => (await import('./status/ps.js')).ps,
      },
      {
        name: 'status',
        summary: 'readiness, links, calls and certificate expiry of an adaptor',
        load: async () => (await import('./status/status.js')).status,
      },
      {
        name: 'orphans',
        summary: 'list instances that belong to no sandbox, and delete those you name',
        load: async () => (await import('./orphans/orphans.js')).orphans,
      },
    ],
  },
  {
    title: 'Certificates',
    commands: [
      {
        name: 'certs',
        summary: 'make an authority, issue certificates, say why one would be refused',
        load: async () => (await import('./certs/certs.js')).certs,
      },
    ],
  },
];

/** Every subcommand, in the order of the help. */
export const entries: readonly CommandEntry[] = groups.flatMap(group => group.commands);

/** The names a first word may have. */
export const names: readonly string[] = [...entries.map(entry => entry.name), 'help', 'version'];

const EXAMPLES = `  peerpod demo --once
  peerpod run --name web -- sh -c 'uname -a; exit 3'
  peerpod agent GetGuestDetails --socket /run/peerpod/pods/ID/agent.ttrpc
  peerpod certs init pki && peerpod certs issue server --ca pki --out pki
  peerpod certs inspect pki/tls.crt --key pki/tls.key --ca pki/ca.crt --role server --name podvm-server`;

/** The top-level help. */
export function topHelp(bold: (text: string) => string = text => text): string {
  const width = Math.max(...entries.map(entry => entry.name.length));
  const sections = groups.map(
    group =>
      `${bold(group.title)}\n${group.commands.map(c => `  ${c.name.padEnd(width)}   ${c.summary}`).join('\n')}\n`,
  );
  return `peerpod: try, drive and inspect mutual TLS between peer-pod sidecars

${bold('Usage')}
  peerpod <command> [words] [flags]
  peerpod <command> -help      flags and examples of one command
  peerpod version

${sections.join('\n')}
${bold('Examples')}
${EXAMPLES}

Flags take one dash or two, and a value after a space or "=". Results go to standard output, remarks to standard
error. Colours need a terminal and yield to NO_COLOR and -no-color.
Exit code: 0 done, 1 failed, 2 wrong command line; run passes the code of its command on.
`;
}
