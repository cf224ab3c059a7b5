// SPDX-License-Identifier: Apache-2.0
// The public names of the package: the program as a function, for those who embed it. The program itself is bin.ts.
export { main } from './main.js';
export { ExitCode, type Io } from './io.js';
export { CliError, type CliErrorCode } from './errors.js';
