// SPDX-License-Identifier: Apache-2.0
// The public names of @peerpod-tls/proxy.
export type { DataPlane } from './data-plane.js';
export { openDataPlane } from './open.js';
export { REFUSAL_RULES } from './refusal-rule.js';
export {
  DIRECT_VOLUMES,
  REDIAL_BUDGET_MS,
  type ProxyEvent,
  type ProxySpec,
  type ProxyView,
  type ThreadView,
} from './spec.js';
