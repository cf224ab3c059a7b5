// SPDX-License-Identifier: Apache-2.0
// The module hooks behind register.mjs, run by Node in a thread of their own.
import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { translated } from './cache.mjs';

/** `./x.js` beside a TypeScript file is `./x.ts`, as the compiler has it. */
export function resolve(specifier, context, next) {
  if (/^\.{1,2}\/.*\.js$/.test(specifier) && context.parentURL?.endsWith('.ts')) {
    const url = new URL(`${specifier.slice(0, -3)}.ts`, context.parentURL);
    if (statSync(url, { throwIfNoEntry: false }))
      return { url: url.href, format: 'module', shortCircuit: true };
  }
  return next(specifier, context);
}

export async function load(url, context, next) {
  if (!url.startsWith('file:') || !/\.ts($|\?)/.test(url)) return next(url, context);
  return { format: 'module', shortCircuit: true, source: await translated(fileURLToPath(url)) };
}
