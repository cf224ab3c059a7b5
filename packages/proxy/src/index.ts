// SPDX-License-Identifier: Apache-2.0
// The public names of @peerpod-tls/proxy.
export { CallStats } from './call-stats.js';
export { ProxyError, type ProxyErrorCode } from './errors.js';
export { REFUSAL_RULES, refusalRule } from './refusal-rule.js';
export { adaptorRewrites, type RewriteOptions } from './rewrites.js';
export { SandboxProxy, type ProxyOptions } from './sandbox-proxy.js';
