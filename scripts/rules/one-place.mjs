// SPDX-License-Identifier: Apache-2.0
// What may be written in one place alone. Each rule is a pattern over code without comments, and the files it may stand in.

const base = name => `packages/base/src/${name}`;

/** @type {readonly { what: string, pattern: RegExp, only: readonly string[] }[]} */
const rules = [
  {
    what: 'combines or times signals; use deadline or anySignal of base, which fire on every Node (nodejs/node#57736)',
    pattern: /\bAbortSignal\.(?:any|timeout)\b/,
    only: [base('deadline.ts')],
  },
  {
    what: 'waits with a timer of its own; use sleep of base',
    pattern: /from 'node:timers\/promises'/,
    only: [base('abortable.ts')],
  },
  {
    what: 'makes directories with Node’s recursive mkdir, which never returns below /proc; use makeDirectory of base',
    pattern: /\bmkdir(?:Sync)?\([^;]*recursive: true/,
    only: [],
  },
  {
    what: 'defines a ground name again; import it from base',
    pattern:
      /(?:function|const|class) (?:codeOf|messageOf|reasonOf|sleep|abortable|abortReason|deadline|anySignal|startTimer|atDate|makeDirectory|readSmallFile|KeyedMutex|Backoff|CodedError)\b/,
    only: [
      'abortable.ts',
      'backoff.ts',
      'deadline.ts',
      'errors.ts',
      'keyed-mutex.ts',
      'long-timer.ts',
      'make-directory.ts',
      'read-file.ts',
    ].map(base),
  },
  {
    what: 'writes a file with the mode of a secret; use writeSecretFile or writeSecretSet of base',
    pattern: /\bwriteFile(?:Sync)?\([^;]*0o600/,
    only: [base('secret-file.ts')],
  },
  {
    what: 'reads the dates of a certificate as Node shows them, which JavaScript may turn into NaN; use factsOf or datesToShow of certs',
    pattern: /\b(?:validTo|validFrom)\b|\bvalid_(?:to|from)\b/,
    only: [],
  },
  {
    what: 'reaches into Node’s own objects; that is the business of one file',
    pattern: /\b_handle\b|\['_handle'\]|\b_parent\b|\b_readableState\b|\b_writableState\b|\bkHandle\b/,
    only: ['packages/link/src/tls/node-internals.ts'],
  },
];

/**
 * Complaints about one tree: what stands outside the one place it may stand in.
 * @param {ReturnType<import('./tree.mjs').readTree>} tree
 * @returns {string[]}
 */
export function onePlace({ sources }) {
  return rules.flatMap(({ what, pattern, only }) =>
    sources
      .filter(({ path, code }) => !only.includes(path) && pattern.test(code))
      .map(({ path }) => `${path} ${what}`),
  );
}
