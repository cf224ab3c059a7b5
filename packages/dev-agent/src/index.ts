// SPDX-License-Identifier: Apache-2.0
// Public names of the package.
export { devAgentService, startDevAgent, type DevAgent, type DevAgentOptions } from './dev-agent.js';
