// SPDX-License-Identifier: Apache-2.0
// A failed call in words: which call, which status by name, what the far end said. Used for agent and hypervisor alike.
import { StatusCode } from '@peerpod-tls/ttrpc';
import { codeOf, messageOf } from '@peerpod-tls/base';
import { CliError } from '../errors.js';

/** A status number with its name, as gRPC writes it: `NotFound (5)`. */
export function statusName(status: number): string {
  const found = Object.entries(StatusCode).find(([, number]) => number === status)?.[0];
  return found === undefined
    ? `status ${status}`
    : `${found.charAt(0).toUpperCase()}${found.slice(1)} (${status})`;
}

/** The status number of an answered call that failed, or undefined for any other error. */
export function statusOf(error: unknown): number | undefined {
  if (codeOf(error) !== 'ERR_TTRPC_STATUS' || !(error instanceof Error) || !('status' in error))
    return undefined;
  return typeof error.status === 'number' ? error.status : undefined;
}

const hints: Readonly<Record<number, string>> = {
  [StatusCode.unavailable]:
    'the link to the pod VM or the agent behind it was gone; peerpod ps shows the state of the sandbox',
  [StatusCode.unimplemented]: 'this agent does not know the method; peerpod agent list shows those of kata',
};

/** Answered by the adaptor itself, whose Unavailable speaks of its provider and not of a link. */
const ADAPTORS_OWN: ReadonlySet<string> = new Set(['Version', 'CreateVM', 'StartVM', 'StopVM']);

/** The error to show for a call that failed. Errors that already explain themselves come back unchanged. */
export function callError(method: string, error: unknown): unknown {
  const status = statusOf(error);
  if (status !== undefined) {
    const hint = ADAPTORS_OWN.has(method) ? undefined : hints[status];
    const way = hint === undefined ? {} : { hint };
    return new CliError(
      'ERR_CLI_CALL_FAILED',
      `${method} failed with ${statusName(status)}: ${messageOf(error)}`,
      way,
    );
  }
  if (codeOf(error) === 'ERR_TTRPC_CLOSED') {
    return new CliError(
      'ERR_CLI_CALL_FAILED',
      `${method} failed: the connection was closed before the answer came`,
      {
        hint: 'the far end has ended, or its link was cut; peerpod ps shows the state of the sandbox',
        cause: error,
      },
    );
  }
  return error;
}
