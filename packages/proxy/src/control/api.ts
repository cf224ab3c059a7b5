// SPDX-License-Identifier: Apache-2.0
// Which versions of the control protocol understand each other: those one apart, in either direction.
import { CodedError } from '@peerpod-tls/base';

/** The version of proxy.proto that this program speaks. */
export const CONTROL_API = 1;

/** @throws ControlError `ERR_PROXY_API` when the other side is more than one version away */
export function checkApi(api: number, who: string): void {
  if (Math.abs(api - CONTROL_API) <= 1) return;
  throw new ControlError(
    'ERR_PROXY_API',
    `${who} speaks version ${api} of the control protocol, this one speaks ${CONTROL_API}`,
    { hint: 'adaptor and proxy may be one release apart: go through the release between them' },
  );
}

type ControlErrorCode = 'ERR_PROXY_API' | 'ERR_PROXY_MESSAGE';

class ControlError extends CodedError<ControlErrorCode> {}

export function badMessage(what: string): ControlError {
  return new ControlError('ERR_PROXY_MESSAGE', `a message of the control protocol ${what}`);
}
