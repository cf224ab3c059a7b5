// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import * as index from '../src/index.js';
import * as wire from '../src/wire.js';

const wireNames = [
  'agentMethods',
  'agentServiceName',
  'healthServiceName',
  'traitsOf',
  'viewCreateContainer',
  'withAnnotations',
  'withNetworkNamespace',
  'withoutSandboxDns',
];

t.test('the public names are these', async t => {
  t.strictSame(Object.keys(wire).sort(), wireNames);
  t.strictSame(
    Object.keys(index).sort(),
    [
      'agentMethods',
      'agentServiceName',
      'healthServiceName',
      'traitsOf',
      'agentService',
      'grpc',
      'healthService',
      'hypervisorService',
      'int64',
      'jsonToMessage',
      'listMethods',
      'messageToJson',
      'operatorService',
      'podVmInfoService',
      'proxyService',
      'types',
      'uint64',
    ].sort(),
  );
});

t.test('what relays import loads none of the generated classes', async t => {
  const program = `
    import { register } from 'node:module';
    const hook = 'export async function load(url, context, next) { console.log(url); return next(url, context); }';
    register('data:text/javascript,' + encodeURIComponent(hook));
    await import(process.argv[1]);
  `;
  const loads = (entry: string): string => {
    const path = fileURLToPath(new URL(`../dist/${entry}.js`, import.meta.url));
    const words = ['-u', 'NODE_OPTIONS', process.execPath, '--input-type=module', '-e', program, path];
    return spawnSync('env', words, { encoding: 'utf8' }).stdout;
  };
  t.match(loads('wire'), /container-rewrites\.js/);
  t.notMatch(loads('wire'), /agent-protocol\/gen/);
  t.match(loads('index'), /agent-protocol\/gen\/messages\.js/);
});
