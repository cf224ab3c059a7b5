// SPDX-License-Identifier: Apache-2.0
// The failures the forwarder itself raises, before or beside the data path. Errors of TLS, frames and flags have their own rooms.
import { CodedError } from '@peerpod-tls/base';

export type ForwarderErrorCode =
  'ERR_FORWARDER_CONFIG' | 'ERR_FORWARDER_AGENT_ABSENT' | 'ERR_FORWARDER_ABSTRACT_SOCKET';

export class ForwarderError extends CodedError<ForwarderErrorCode> {}
