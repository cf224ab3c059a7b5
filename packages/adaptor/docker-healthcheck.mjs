// SPDX-License-Identifier: Apache-2.0
// The image's health check: asks the adaptor's /startup on the address its flags and environment say. Needs Node alone.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

/**
 * Where the adaptor serves its status, by the same rules as the adaptor itself; null for port 0, which is any.
 * @param {readonly string[]} argv of the adaptor
 * @param {NodeJS.ProcessEnv} env
 */
export function startupUrl(argv, env) {
  let address = null;
  argv.forEach((word, at) => {
    const [, inline] = /^--?status-address(?:=(.*))?$/s.exec(word) ?? [];
    if (inline !== undefined) address = inline;
    else if (/^--?status-address$/.test(word)) address = argv[at + 1] ?? null;
  });
  address ??= `127.0.0.1:${env['PROBE_PORT'] || 8000}`;
  const [, host = '', port = ''] = /^(.*):(\d+)$/s.exec(address) ?? [];
  if (port === '' || Number(port) === 0) return null;
  // Listening everywhere, it answers here too.
  const here = { '': '127.0.0.1', '0.0.0.0': '127.0.0.1', '[::]': '[::1]' };
  return `http://${here[host] ?? host}:${port}/startup`;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const argv = readFileSync('/proc/1/cmdline', 'utf8').split('\0');
  const url = startupUrl(argv, process.env);
  try {
    if (url === null) throw new Error('-status-address with port 0 tells nobody where to ask');
    const answer = await fetch(url);
    process.exitCode = answer.ok ? 0 : 1;
  } catch (error) {
    process.stderr.write(`${url ?? 'health check'}: ${error.cause?.message ?? error.message}\n`);
    process.exitCode = 1;
  }
}
