// SPDX-License-Identifier: Apache-2.0
// An adaptor that is killed, and one that is stopped, while a shim of a pod is connected: the shim keeps its connection,
// no call of it fails, and no byte of its streams is lost.
import { writeFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { localFlags, socketIn, startAdaptor } from '../../kit/adaptor-program.js';
import { processesOf, temporary } from '../../kit/directory.js';
import { leftovers, nothing } from '../../kit/leftovers.js';
import { Program } from '../../kit/program.js';
import { proxiesOf } from '../../kit/proxies.js';
import {
  dialAgent,
  dialHypervisor,
  startContainer,
  startPod,
  status,
  type ShimAgent,
} from '../../kit/shim.js';

t.setTimeout(180_000);

const KILLS = 10;

/** Polls of a shim, one after another, until it is told to end; gives how many were answered. */
function polls({ agent, health }: ShimAgent): { end(): Promise<number> } {
  const over = new AbortController();
  const done = (async (): Promise<number> => {
    let answered = 0;
    for (; !over.signal.aborted; answered += 2) {
      await health.Check({}, { timeoutMs: 10_000 });
      await agent.StatsContainer({ containerId: 'c' }, { timeoutMs: 10_000 });
    }
    return answered;
  })();
  done.catch(() => {});
  return {
    end: () => {
      over.abort();
      return done;
    },
  };
}

/** A `cat` in the container that is written to and read from all the time. */
async function stream({ agent }: ShimAgent): Promise<{ end(): Promise<{ sent: string; came: string }> }> {
  const place = { containerId: 'c', execId: 'cat' };
  await agent.ExecProcess({
    ...place,
    process: { Args: ['cat'], Env: ['PATH=/usr/bin:/bin'], Cwd: '/', User: { UID: 0, GID: 0 } },
  });
  const over = new AbortController();
  let sent = '';
  let came = '';
  const writing = (async () => {
    for (let line = 0; !over.signal.aborted; line += 1) {
      const data = `line ${line}\n`;
      await agent.WriteStdin({ ...place, data: Buffer.from(data) });
      sent += data;
      await new Promise(done => setTimeout(done, 5));
    }
    await agent.CloseStdin(place);
  })();
  const reading = (async () => {
    for (;;) {
      const { data } = await agent.ReadStdout({ ...place, len: 4096 }).catch((error: unknown) => {
        // What an agent says at the end of a stream.
        if (String(error).includes('eof') || String(error).includes('EOF'))
          return { data: new Uint8Array(0) };
        throw error;
      });
      if (data.length === 0) return;
      came += Buffer.from(data).toString();
    }
  })();
  for (const half of [writing, reading]) half.catch(() => {});
  return {
    async end() {
      over.abort();
      await writing;
      await reading;
      return { sent, came };
    },
  };
}

t.test(`a shim notices none of ${KILLS} kills`, { timeout: 60_000 }, async t => {
  const directory = temporary(t);
  let adaptor = await startAdaptor(t, directory);
  const proxy = proxiesOf(directory);
  t.equal(proxy.length, 1);
  const socket = await startPod(adaptor.hypervisor, 'survivor', 'web');
  const shim = await dialAgent(socket);
  let closed = false;
  void shim.client.closed.then(() => (closed = true));
  await startContainer(shim.agent, 'c', `while ! [ -e ${directory}/done ]; do sleep 0.05; done; exit 7`);
  const waiting = shim.agent.WaitProcess({ containerId: 'c', execId: 'c' });
  waiting.catch(() => {});
  const poll = polls(shim);
  const cat = await stream(shim);
  for (let kill = 0; kill < KILLS; kill += 1) {
    await adaptor.program.kill('SIGKILL');
    adaptor = await startAdaptor(t, directory);
  }
  t.notOk(closed, 'the connection of the first minute is still there');
  const { sent, came } = await cat.end();
  t.ok(sent.length > 1000);
  t.equal(came, sent, 'every byte of the stream, once and in order');
  t.ok((await poll.end()) > KILLS, 'every poll was answered');
  writeFileSync(`${directory}/done`, '');
  t.match(await waiting, { status: 7 }, 'the call that waited all the while');
  t.notOk(closed);
  t.strictSame(proxiesOf(directory), proxy, 'it was the same proxy all the while');
  t.match(JSON.parse(await adaptor.get('/sandboxes')), {
    sandboxes: [{ id: 'survivor', state: 'running', socket, error: '', shim: { state: 'connected' } }],
  });
  await adaptor.hypervisor.StopVM({ id: 'survivor' });
  await shim.client.closed;
  await t.rejects(
    adaptor.info.GetInfo({ PodName: 'web', PodNamespace: 'default' }, { timeoutMs: 300 }),
    status(5),
  );
  t.match(await adaptor.program.kill('SIGTERM'), { code: 0 });
  t.strictSame(await leftovers(directory), nothing);
});

/** Ends an adaptor one way, with a pod that has a shim, and looks whether both are there afterwards. */
async function survives(t: Test, end: (adaptor: Program) => Promise<unknown>): Promise<void> {
  const directory = temporary(t);
  const program = new Program(t, 'cloud-api-adaptor', localFlags(directory), { group: true });
  await program.said('adaptor started');
  const [proxy = 0] = proxiesOf(directory);
  const first = await dialHypervisor(socketIn(directory));
  const shim = await dialAgent(await startPod(first.hypervisor, 'kept'));
  await startContainer(shim.agent, 'c', 'sleep 600');
  const waiting = shim.agent.WaitProcess({ containerId: 'c', execId: 'c' });
  waiting.catch(() => {});
  await end(program);
  t.ok(
    processesOf(directory).some(({ pid }) => pid === proxy),
    'the proxy is there',
  );
  t.match(await shim.health.Check({}), { status: 1 }, 'and answers without an adaptor');
  const second = await startAdaptor(t, directory);
  await shim.agent.SignalProcess({ containerId: 'c', execId: 'c', signal: 15 });
  t.match(await waiting, { status: 143 });
  await second.hypervisor.StopVM({ id: 'kept' });
  t.match(await second.program.kill('SIGINT'), { code: 0 });
  t.strictSame(await leftovers(directory), nothing);
}

t.test('SIGTERM ends the adaptor with 0 and leaves its pods and their connections', async t => {
  await survives(t, async adaptor => {
    t.match(await adaptor.kill('SIGTERM'), { code: 0 }, 'a call that may wait for ever does not hold it up');
  });
});

t.test('a SIGKILL to the process group of the adaptor reaches no pod', async t => {
  await survives(t, async adaptor => {
    process.kill(-adaptor.pid, 'SIGKILL');
    await adaptor.ended;
  });
});
