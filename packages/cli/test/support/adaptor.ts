// SPDX-License-Identifier: Apache-2.0
// A real cloud-api-adaptor with the local provider, in a directory of the test's own; everything is gone after the test.
import type { Test } from 'tap';
import { AdaptorProcess } from '../../src/demo/adaptor-process.js';
import { sweep } from '../../src/demo/sweep.js';
import { shortDirectory } from './program.js';

export interface RunningAdaptor {
  readonly dir: string;
  /** The hypervisor socket. */
  readonly socket: string;
  /** host:port of its status endpoint. */
  readonly status: string;
}

export async function startAdaptor(t: Test): Promise<RunningAdaptor> {
  const dir = shortDirectory(t);
  t.teardown(() => sweep(dir, { keep: false }));
  let adaptor: AdaptorProcess | undefined;
  const status = await new Promise<string>((resolve, reject) => {
    adaptor = new AdaptorProcess({
      dir,
      env: process.env,
      onEvent: event => {
        if (event.message === 'adaptor started') resolve(event.text('status'));
      },
    });
    void adaptor.deathError().then(reject);
  });
  return { dir, socket: `${dir}/hypervisor.sock`, status };
}
