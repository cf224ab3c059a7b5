// SPDX-License-Identifier: Apache-2.0
// The one error a provider throws. It may carry an instance, because a creation can fail after the platform made one.
import { CodedError, type ErrorDetails } from '@peerpod-tls/base';
import type { Instance } from './provider.js';

export type ProviderErrorCode =
  /** A flag, or what a pod asks for, is not what this provider can do. */
  | 'ERR_PROVIDER_CONFIG'
  /** What every instance needs is not there now: an engine, a program, a directory. */
  | 'ERR_PROVIDER_UNAVAILABLE'
  | 'ERR_PROVIDER_CREATE'
  | 'ERR_PROVIDER_DELETE'
  | 'ERR_PROVIDER_LIST'
  | 'ERR_PROVIDER_DISK_FULL'
  /** The caller gave up. */
  | 'ERR_PROVIDER_ABORTED';

export interface ProviderErrorDetails extends ErrorDetails {
  /** What exists all the same and must be deleted by the caller. */
  readonly instance?: Instance | undefined;
}

export class ProviderError extends CodedError<ProviderErrorCode> {
  readonly instance: Instance | undefined;

  constructor(code: ProviderErrorCode, message: string, details: ProviderErrorDetails = {}) {
    super(code, message, details);
    this.instance = details.instance;
  }
}

/** The instance a failed creation left behind, wherever the error came from; null when it left none. */
export function leftBehind(error: unknown): Instance | null {
  if (typeof error !== 'object' || error === null || !('instance' in error)) return null;
  const { instance } = error;
  if (typeof instance !== 'object' || instance === null) return null;
  if (!('id' in instance) || typeof instance.id !== 'string' || instance.id === '') return null;
  const name = 'name' in instance && typeof instance.name === 'string' ? instance.name : '';
  const addresses =
    'addresses' in instance && Array.isArray(instance.addresses)
      ? instance.addresses.filter((address): address is string => typeof address === 'string')
      : [];
  return { id: instance.id, name, addresses };
}
