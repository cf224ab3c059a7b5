// SPDX-License-Identifier: Apache-2.0
// The error of the data plane, with its closed list of codes. What a link met is link's own error.
import { CodedError } from '@peerpod-tls/base';

export type ProxyErrorCode = 'ERR_PROXY_TLS_MODE';

export class ProxyError extends CodedError<ProxyErrorCode> {}
