// SPDX-License-Identifier: Apache-2.0
// Initdata from a pod's annotation to the files in its guest, through the programs themselves.
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { hypervisorService } from '@peerpod-tls/agent-protocol';
import { StatusCode, clientOf, connectUnix } from '@peerpod-tls/ttrpc';
import { packInitdata, readGlobalInitdata } from '../../src/sandboxes/initdata.js';
import { annotations, temporary } from '../kit/adaptor.js';
import { Program, localFlags } from '../kit/program.js';

const INITDATA = 'io.katacontainers.config.hypervisor.cc_init_data';
const toml = (more: string): string => `algorithm = "sha384"\nversion = "0.1.0"\n\n[data]\n${more}`;

t.test('what the shim hands over is packed so that the flag would take it', async t => {
  const text = toml('"aa.toml" = ""\n');
  t.equal(readGlobalInitdata(packInitdata(text)), packInitdata(text));
  t.equal(readGlobalInitdata(' \n'), '');
});

t.test(
  'a pod brings its own, another gets the adaptor\u2019s, a third is refused before it has a VM',
  async t => {
    const directory = temporary(t);
    const common = toml('"aa.toml" = "common = 1"\n');
    const program = new Program([
      ...localFlags(directory),
      `-initdata=${gzipSync(common).toString('base64')}`,
    ]);
    t.teardown(() => program.child.kill('SIGKILL'));
    await program.next('adaptor started');
    const hypervisor = clientOf(hypervisorService, await connectUnix(path.join(directory, 'h.sock')));
    const vms = path.join(directory, 'vms');
    const guestFiles = (): Map<string, string> =>
      new Map(
        readdirSync(vms, { recursive: true, encoding: 'utf8' })
          .filter(name => name.includes('run/peerpod/'))
          .map(name => [path.basename(name), path.join(vms, name)] as const)
          .filter(([name]) => !['apf.json', 'initdata'].includes(name))
          .map(([name, file]) => [name, readFileSync(file, 'utf8')]),
      );
    const start = async (id: string, initdata: string): Promise<void> => {
      const given = annotations(id, 'default', { [INITDATA]: initdata });
      await hypervisor.CreateVM({ id, annotations: given, networkNamespacePath: '' });
      await hypervisor.StartVM({ id });
    };
    const digest = (text: string): string => createHash('sha384').update(text).digest('hex');

    // Without aa.toml, which in an upstream guest would be the end of the boot.
    const own = toml('"cdh.toml" = "own = 1"\n"policy.rego" = "allow"\n"hosts" = "x"\n');
    await start('own', own);
    t.strictSame(
      guestFiles(),
      new Map([
        ['aa.toml', ''],
        ['cdh.toml', 'own = 1'],
        ['initdata.digest', digest(own)],
        ['policy.rego', 'allow'],
      ]),
    );
    await hypervisor.StopVM({ id: 'own' });

    await start('common', '');
    t.equal(guestFiles().get('aa.toml'), 'common = 1');
    t.equal(guestFiles().get('initdata.digest'), digest(common));
    await hypervisor.StopVM({ id: 'common' });

    await t.rejects(start('bad', toml('').replace('0.1.0', '7')), {
      status: StatusCode.invalidArgument,
      message: /the initdata has version "7"; it must be 0\.1\.0.*cc_init_data/,
    });
    t.equal(program.lines().filter(line => line.msg === 'instance created').length, 2);
    t.notMatch(program.output, /own = 1|common = 1/);
    await program.kill('SIGTERM');
  },
);
