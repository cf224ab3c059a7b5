// SPDX-License-Identifier: Apache-2.0
// Lets Node run the TypeScript of tests and benches: `node --import ./scripts/typescript/register.mjs FILE.ts`. What a file
// becomes is kept in node_modules/.cache/typescript, so that a suite of 150 processes translates each file once and
// starts no translator in any of them. Types are the check's affair, programs run from dist.
import { register } from 'node:module';

register('./hooks.mjs', import.meta.url);
