// SPDX-License-Identifier: Apache-2.0
// Guards and bounds that a test must notice the loss of, each as a change of text: `from` stands exactly once in `file`
// and becomes `to`. `tests` are the files that should notice; left out, those of the package that reach the file.

/** @type {readonly { name: string, file: string, from: string, to: string, tests?: readonly string[] }[]} */
export const named = [];
