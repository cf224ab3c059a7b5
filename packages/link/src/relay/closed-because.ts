// SPDX-License-Identifier: Apache-2.0
// What those who work for a relay are told when it closes.
import { LinkError } from '../errors.js';
import type { CloseReason } from './types.js';

const closings = new Map<CloseReason['why'], LinkError>();

/** Why a relay's signal is aborted. One error per word for all relays: its stack, the dear part, would tell nobody anything. */
export function closedBecause(why: CloseReason['why']): LinkError {
  let error = closings.get(why);
  if (error === undefined)
    closings.set(why, (error = new LinkError('ERR_LINK_CLOSED', `the relay closed: ${why}`)));
  return error;
}
