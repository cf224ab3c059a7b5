// SPDX-License-Identifier: Apache-2.0
// The errors this package throws at its own callers. What a peer sent is told by returned values, not here.
import { CodedError } from '@peerpod-tls/base';

export type AgentProtocolErrorCode =
  /** No service of a peer pod has a method of that name. */
  | 'ERR_AGENT_UNKNOWN_METHOD'
  /** The JSON given for a request does not fit the request's message. */
  | 'ERR_AGENT_BAD_JSON'
  /** The bytes of a message cannot be read. */
  | 'ERR_AGENT_BAD_MESSAGE';

export class AgentProtocolError extends CodedError<AgentProtocolErrorCode> {}
