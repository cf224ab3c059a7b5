// SPDX-License-Identifier: Apache-2.0
// The log of a program: lines on stderr, of JSON or of text. Only a program's main makes one; everything below gets it as an argument.
import { pino, stdTimeFunctions, type DestinationStream, type Logger } from 'pino';
import { isUnforeseen, UsageError } from './errors.js';
import type { ChoiceFlag } from './flag-types.js';
import { textLine } from './log-text.js';

/** The levels a person may ask for, from most to least. */
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

/** The flag every program of ours has, ready to put in its table as `log-level`. */
export const logLevelFlag = {
  type: 'choice',
  choices: LOG_LEVELS,
  default: 'info',
  env: 'LOG_LEVEL',
  describe: 'how much to log to stderr',
  group: 'Logging',
  placeholder: 'LEVEL',
} as const satisfies ChoiceFlag;

/** How a line looks. */
const LOG_FORMATS = ['json', 'text'] as const;

/** The flag beside it, as `log-format`. */
export const logFormatFlag = {
  type: 'choice',
  choices: LOG_FORMATS,
  default: 'json',
  env: 'LOG_FORMAT',
  describe: 'one event a line, as JSON for machines or as text for people',
  group: 'Logging',
} as const satisfies ChoiceFlag;

export interface LoggerOptions {
  /** Program or test, as `name` in every line. */
  readonly name: string;
  /** From `trace` to `silent`. Default `info`. */
  readonly level?: string;
  /** `json`, the default, or `text`. */
  readonly format?: string;
  /** Where lines go. Default: stderr, written synchronously, so that the last line before a crash is there. */
  readonly destination?: DestinationStream;
}

const SECRET_FIELDS = [
  'key',
  'keyPem',
  'privateKey',
  'password',
  'token',
  'secret',
  'authorization',
  'userData',
  'initdata',
];
const REDACTED = '[redacted]';

/**
 * Makes the program's logger. Lines carry `level` as a word and an ISO time.
 *
 * Two nets hang under what callers log: fields with a telling name are replaced at the top and one level down, and
 * any private key in PEM, wherever it sits in the line, is cut out of the finished text. They are nets: log objects
 * built for logging, never the thing itself.
 *
 * @throws UsageError for a level that does not exist
 */
export function createLogger(options: LoggerOptions): Logger {
  const level = options.level ?? 'info';
  if (!LOG_LEVELS.some(known => known === level)) {
    throw new UsageError(
      `there is no log level ${JSON.stringify(level)}`,
      `the levels are ${LOG_LEVELS.join(', ')}`,
    );
  }
  const destination = options.destination ?? standardError();
  return pino(
    {
      name: options.name,
      level,
      base: { name: options.name, pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }) },
      serializers: { err: describeError, error: describeError },
      redact: { paths: [...SECRET_FIELDS, ...SECRET_FIELDS.map(field => `*.${field}`)], censor: redact },
      hooks: { streamWrite: withoutPrivateKeys },
    },
    options.format === 'text' ? asText(destination) : destination,
  );
}

function asText(destination: DestinationStream): DestinationStream {
  return { write: line => destination.write(textLine(line)) };
}

/** Lines kept while they cannot be written, in bytes; later ones are dropped. */
const UNWRITTEN_BYTES = 1 << 20;

/** A full disk under the log costs lines, which are written when it is free again, and never the program. */
function standardError(): DestinationStream {
  const stream = pino.destination({ dest: 2, sync: true, maxLength: UNWRITTEN_BYTES });
  stream.on('error', () => {});
  return stream;
}

/** `key` is also what a certificate's summary calls the kind of its key, which is worth reading. */
function redact(value: unknown, path: readonly string[]): unknown {
  const kind =
    path.at(-1) === 'key' && typeof value === 'string' && /^(ec|ecdsa|ed|rsa)[\w-]{0,16}$/i.test(value);
  return kind ? value : REDACTED;
}

/** An error as log fields: code, message, hint and causes; the stack only of one that nobody foresaw. */
function describeError(error: unknown): unknown {
  return describe(error, 0);
}

function describe(error: unknown, depth: number): unknown {
  if (!(error instanceof Error)) return error;
  const { code, hint, syscall } = error as { code?: unknown; hint?: unknown; syscall?: unknown };
  return {
    type: error.name,
    message: error.message,
    ...(typeof code === 'string' ? { code } : {}),
    ...(depth === 0 && isUnforeseen(error) ? { stack: error.stack } : {}),
    ...(typeof hint === 'string' ? { hint } : {}),
    ...(typeof syscall === 'string' ? { syscall } : {}),
    ...(error.cause === undefined || depth >= 3 ? {} : { cause: describe(error.cause, depth + 1) }),
    ...(error instanceof AggregateError && depth < 3
      ? { errors: error.errors.slice(0, 8).map((inner: unknown) => describe(inner, depth + 1)) }
      : {}),
  };
}

/** The line is JSON, so a newline inside it is the two characters `\n`; the block ends at its END mark or the line's. */
function withoutPrivateKeys(line: string): string {
  if (!line.includes('PRIVATE KEY-----')) return line;
  return line.replaceAll(
    /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?:[^"]*?-----END [A-Z0-9 ]*PRIVATE KEY-----|[^"]*)/g,
    REDACTED,
  );
}
