// SPDX-License-Identifier: Apache-2.0
// One request frame through one rewrite: the frame to send on, or the status to answer with. No streams and no table.
import { codeOf, messageOf } from '@peerpod-tls/base';
import {
  encodeFrame,
  FrameType,
  HEADER_LENGTH,
  readRequestPayload,
  replaceRequestPayload,
  StatusCode,
} from '@peerpod-tls/ttrpc/relay';
import type { Rewrite, RewriteContext, RewriteOutcome } from './types.js';

export type RewrittenFrame =
  | { readonly t: 'frame'; readonly frame: Buffer }
  | { readonly t: 'answer'; readonly status: number; readonly text: string };

/** Runs the rewrite. Never throws and never rejects: a failing rewrite is an answer. A promise only if the rewrite gave one. */
export function rewriteFrame(
  frame: Buffer,
  rewrite: Rewrite,
  context: RewriteContext,
): RewrittenFrame | Promise<RewrittenFrame> {
  const envelope = frame.subarray(HEADER_LENGTH);
  try {
    const payload = readRequestPayload(envelope);
    const message = Buffer.from(payload.buffer, payload.byteOffset, payload.length);
    const outcome = rewrite.apply(message, context);
    if (!(outcome instanceof Promise)) return framed(frame, envelope, outcome);
    return outcome.then(o => framed(frame, envelope, o)).catch(failed);
  } catch (error) {
    return failed(error);
  }
}

function framed(frame: Buffer, envelope: Buffer, outcome: RewriteOutcome): RewrittenFrame {
  switch (outcome.t) {
    case 'same':
      return { t: 'frame', frame };
    case 'refused':
      return { t: 'answer', status: outcome.status, text: outcome.reason };
    case 'replaced':
      return {
        t: 'frame',
        frame: encodeFrame(
          { streamId: frame.readUInt32BE(4), type: FrameType.request, flags: frame.readUInt8(9) },
          replaceRequestPayload(envelope, outcome.message),
        ),
      };
    default:
      return outcome satisfies never;
  }
}

function failed(error: unknown): RewrittenFrame {
  const code = codeOf(error);
  if (code === 'ERR_TTRPC_OVERSIZE')
    return { t: 'answer', status: StatusCode.resourceExhausted, text: messageOf(error) };
  if (code === 'ERR_TTRPC_BAD_REQUEST')
    return { t: 'answer', status: StatusCode.invalidArgument, text: messageOf(error) };
  return {
    t: 'answer',
    status: StatusCode.internal,
    text: `the request could not be rewritten: ${messageOf(error)}`,
  };
}
