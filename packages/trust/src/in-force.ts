// SPDX-License-Identifier: Apache-2.0
// What material is when a daemon works with it, and where it comes from. Types only.
import type { TlsMaterial, TlsProfile } from '@peerpod-tls/certs';

/** What is swapped as one: checked material, the profile it is used under, and what an operator should know of it. */
export interface InForce {
  readonly material: TlsMaterial;
  readonly profile: TlsProfile;
  /** Warnings, each as the constant text and the fields of a log line. */
  readonly notes: readonly Note[];
}

export interface Note {
  readonly text: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Where material comes from. */
export interface MaterialSource<T extends InForce = InForce> {
  /** Every file that `read` reads. */
  readonly files: readonly string[];
  /** Reads, parses and checks them. @throws the error that names file and flag */
  read(): T;
}
