// SPDX-License-Identifier: Apache-2.0
// The adaptor's own error, with its closed list of codes. Errors of providers are in package providers.
import { CodedError } from '@peerpod-tls/base';

export type AdaptorErrorCode =
  | 'ERR_ADAPTOR_STATE_IN_USE'
  | 'ERR_ADAPTOR_STATE_DIR'
  | 'ERR_ADAPTOR_STATE_CORRUPT'
  | 'ERR_ADAPTOR_SANDBOX_ID'
  | 'ERR_ADAPTOR_SANDBOX_DIR'
  | 'ERR_ADAPTOR_REQUEST'
  | 'ERR_ADAPTOR_PROVIDER_SILENT'
  | 'ERR_ADAPTOR_PODS_DIR'
  | 'ERR_ADAPTOR_USER_DATA_TOO_BIG'
  | 'ERR_ADAPTOR_NO_ADDRESS'
  | 'ERR_ADAPTOR_INSTANCE_DEAD'
  | 'ERR_ADAPTOR_INITDATA'
  | 'ERR_ADAPTOR_PROXY_MISSING'
  | 'ERR_ADAPTOR_PROXY_START'
  | 'ERR_ADAPTOR_PROXY_RETIRED'
  | 'ERR_ADAPTOR_PROXY_AWAY'
  | 'ERR_ADAPTOR_SOCKET_IN_USE';

export class AdaptorError extends CodedError<AdaptorErrorCode> {}
