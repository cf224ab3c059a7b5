// SPDX-License-Identifier: Apache-2.0
// The part of a logger this package uses. A pino logger fits; so does nothing at all.

type Write = (fields: Record<string, unknown>, message: string) => void;

export interface Log {
  readonly debug: Write;
  readonly warn: Write;
}
