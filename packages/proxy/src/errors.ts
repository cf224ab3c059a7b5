// SPDX-License-Identifier: Apache-2.0
// The error of the data plane, with its closed list of codes. What a link met is link's own error.
import { CodedError } from '@peerpod-tls/base';

type ProxyErrorCode =
  'ERR_PROXY_TLS_MODE' | 'ERR_PROXY_THREAD_LOST' | 'ERR_PROXY_CLOSED' | 'ERR_PROXY_LEAVING';

class ProxyError extends CodedError<ProxyErrorCode> {}

/** Permanent, as links understand it: a redial cannot heal it. */
export function materialNotHeld(sandbox: string): ProxyError {
  const error = new ProxyError(
    'ERR_PROXY_TLS_MODE',
    `sandbox ${sandbox} was made in another TLS mode than this adaptor runs in`,
    { hint: 'start the adaptor with the TLS options it had, or stop the sandbox' },
  );
  return Object.assign(error, { permanent: true });
}

export function threadLost(thread: number, cause: unknown): ProxyError {
  return new ProxyError('ERR_PROXY_THREAD_LOST', `data path thread ${thread} ended unexpectedly`, {
    hint: 'it is replaced; the line before this one in the log says what it met',
    cause,
  });
}

export function sandboxClosed(sandbox: string): ProxyError {
  return new ProxyError('ERR_PROXY_CLOSED', `sandbox ${sandbox} was closed while its agent was awaited`);
}

/** Of a proxy that takes no new sandbox. */
export function takesNoSandbox(sandbox: string, why: 'retired' | 'stopping'): ProxyError {
  return new ProxyError(
    'ERR_PROXY_LEAVING',
    `this proxy takes no new sandbox such as ${sandbox}: it is ${why}`,
    {
      hint: 'open it on the proxy that was started in its place',
    },
  );
}
