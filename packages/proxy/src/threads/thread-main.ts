// SPDX-License-Identifier: Apache-2.0
// The file a data path thread starts with where the package is not part of a bundle. Everything is in serve-thread.ts.
import { serveThread } from './serve-thread.js';

serveThread();
