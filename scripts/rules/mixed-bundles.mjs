// SPDX-License-Identifier: Apache-2.0
// What a program's single file must not hold, since another program is there so that this one need not have it.

const of = (...names) => new RegExp(`^packages/(?:${names.join('|')})/`);

/** @type {readonly { program: string, never: RegExp, words?: readonly string[], why: string }[]} */
const rules = [
  {
    program: 'agent-protocol-forwarder',
    never: of('adaptor', 'providers', 'dev-agent', 'proxy'),
    why: 'of the worker',
  },
  {
    program: 'cloud-api-adaptor',
    never: of('link/dist/relay', 'proxy/dist/(?:threads|server|front)', 'forwarder', 'dev-agent'),
    why: 'that carries bytes of a VM',
  },
  {
    program: 'cloud-api-adaptor',
    never: /^packages\/proxy\/dist\/(?:in-process|open|sandbox-proxy|rewrites|call-stats)\.js$/,
    why: 'of a data path',
  },
  {
    program: 'agent-protocol-proxy',
    never: of('adaptor', 'providers', 'user-data', 'trust', 'forwarder', 'dev-agent', 'cli'),
    // Of its file some words stay, and of the class none.
    words: ['class Authority', 'Authority = class'],
    why: 'that makes VMs or certificates',
  },
];

/**
 * Complaints about bundles, from what esbuild tells of its outputs and from what is in them.
 * @param {Readonly<Record<string, { inputs: Readonly<Record<string, { bytesInOutput: number }>> }>>} outputs
 * @param {(program: string) => string} textOf
 * @returns {string[]}
 */
export function mixedBundles(outputs, textOf) {
  return rules.flatMap(({ program, never, words = [], why }) => {
    const inputs = Object.entries(outputs[`bundle/${program}.cjs`]?.inputs ?? {});
    const files = inputs.flatMap(([file, { bytesInOutput }]) =>
      bytesInOutput > 0 && never.test(file) ? [file] : [],
    );
    const text = words.length === 0 ? '' : textOf(program);
    const found = [...files, ...words.filter(word => text.includes(word))];
    return found.length === 0
      ? []
      : [`the file of ${program} must hold nothing ${why}, but holds ${found.join(', ')}`];
  });
}
