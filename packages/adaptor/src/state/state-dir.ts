// SPDX-License-Identifier: Apache-2.0
// Where the state lies when nobody says where, and whether what lies there outlives a reboot. Looks, and makes nothing.
import { accessSync, constants, existsSync, readdirSync, statfsSync, statSync } from 'node:fs';
import path from 'node:path';

/** Outlives a reboot on every machine that follows the Filesystem Hierarchy Standard. */
const DURABLE_STATE_DIR = '/var/lib/peerpod';

/** f_type of statfs(2) for what is gone with the power, or with the container. */
const VOLATILE: ReadonlyMap<number, string> = new Map([
  [0x0102_1994, 'tmpfs'],
  [0x8584_58f6, 'ramfs'],
  [0x794c_7630, 'overlay'],
]);

/**
 * The state directory for a pods directory at its default: one that outlives a reboot where this user may have it, the
 * one in the pods directory where there is state of an earlier run, or no better place.
 */
export function defaultStateDir(podsDir: string, durable: string = DURABLE_STATE_DIR): string {
  const inPods = path.join(podsDir, '.state');
  if (holdsState(inPods)) return inPods;
  return isOurs(durable) && volatileKind(durable) === null ? durable : inPods;
}

function holdsState(directory: string): boolean {
  return ['identity', 'sandboxes'].some(name => entriesOf(path.join(directory, name)).length > 0);
}

function entriesOf(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Whether a directory could hold this user's secrets: it is this user's, or can be made. */
function isOurs(directory: string): boolean {
  try {
    if (existsSync(directory)) {
      const { uid, mode } = statSync(directory);
      return uid === process.geteuid?.() && (mode & 0o022) === 0;
    }
    accessSync(path.dirname(directory), constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** The kind of file system a path lies on, or will lie on, when that is a volatile one; else null. */
export function volatileKind(given: string): string | null {
  for (let at = given; ; at = path.dirname(at)) {
    try {
      return VOLATILE.get(statfsSync(at).type) ?? null;
    } catch {
      if (path.dirname(at) === at) return null;
    }
  }
}

/** What a person must know of a state directory before pods depend on it; empty when it is durable. */
export function stateWarnings(stateDir: string): readonly string[] {
  const kind = volatileKind(stateDir);
  if (kind === null) return [];
  const when = kind === 'overlay' ? 'with this container' : 'with a reboot';
  return [
    `the state directory ${stateDir} lies on ${kind} and is lost ${when}: the VMs of a cloud live on, and no adaptor knows or reaches them any more. Give -state-dir (STATE_DIR) a directory on a disk.`,
  ];
}
