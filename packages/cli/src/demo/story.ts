// SPDX-License-Identifier: Apache-2.0
// What the demo has learnt from its own calls and from the adaptor's status, as steps of a story. Pure: facts in, words
// and fields out.
import type { LeafRow, SandboxRow } from '../status/endpoint.js';
import type { Summary } from '../status/summary.js';
import { relative, roughly, shortFingerprint, span } from '../terminal/format.js';
import { printable } from '../terminal/text.js';

/** One step: what it is about, what a person reads, what a script reads. */
export interface Step {
  readonly name: string;
  readonly lines: readonly string[];
  readonly fields: Readonly<Record<string, unknown>>;
}

const step = (name: string, lines: readonly string[], fields: Step['fields']): Step => ({
  name,
  lines: lines.map(printable),
  fields,
});

/** What the adaptor told when it was ready. */
export interface AdaptorFacts {
  readonly provider: string;
  readonly mode: string;
  /** host:port of its status endpoint. */
  readonly status: string;
}

export function adaptorStep({ provider, mode, status }: AdaptorFacts, ms: number): Step {
  return step('adaptor', [`provider ${provider}, ${mode} TLS, status on http://${status}`], {
    provider,
    mode,
    status,
    ms,
  });
}

/** The certificates that the adaptor made for itself, by kind. */
export function identityStep({ expiry }: Pick<Summary, 'expiry'>): Step {
  const lines = expiry.map(
    ([kind, seconds]) => `${kind.padEnd(9)} certificate for ${roughly(seconds * 1000)}`,
  );
  return step('identity', lines, { expiry: Object.fromEntries(expiry) });
}

/** The answer to CreateVM. */
export function createdStep(socket: string, ms: number): Step {
  return step('CreateVM', [`the agent will be at ${socket}`], { socket, ms });
}

/** The answer to StartVM: the VM is up and its agent has answered through the link. */
export function startedStep(row: SandboxRow, ms: number): Step {
  const { name, instance, addresses, serverName } = row;
  return step(
    'StartVM',
    [
      `${name} at ${addresses.join(', ')}, up in ${span(ms)}`,
      ...(serverName === ''
        ? []
        : [`it proved to be ${serverName}, and its agent answered through the link`]),
    ],
    { name, instance, addresses, serverName, ms },
  );
}

/** A call of our own through shim's socket, link and forwarder. */
export function agentStep(ms: number): Step {
  return step('agent', [`answered a Check through the shim's socket and the link in ${span(ms)}`], { ms });
}

/** The certificate that was made for the VM. */
export function certificateStep(leaf: LeafRow, now: Date): Step {
  const { subject, fingerprint, notAfter } = leaf;
  const ends = notAfter === null ? 'of unknown lifetime' : `ends ${relative(notAfter, now)}`;
  return step('certificate', [`${subject}, ${ends}`, `sha256 ${shortFingerprint(fingerprint)}`], { ...leaf });
}
