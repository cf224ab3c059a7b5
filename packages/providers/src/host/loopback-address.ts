// SPDX-License-Identifier: Apache-2.0
// Gives each local pod VM a loopback address of its own and remembers who has which. Linux routes all of 127.0.0.0/8
// to the loopback interface, so nothing has to be configured.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { link, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';

import { codeOf, makeSecretDirectory, reasonOf } from '@peerpod-tls/base';

import { ProviderError } from '../errors.js';

/** As many addresses are tried before giving up; with half of them in use, sixty-four failures in a row do not happen. */
const TRIES = 64;

/**
 * The `n`th address to try for a VM: the same every time, spread over 127.64.0.1 to 127.191.255.254, which keeps clear
 * of the places where resolvers and Debian's host name live.
 */
export function candidateAddress(seed: string, n: number): string {
  const hash = createHash('sha256').update(`${seed} ${n}`).digest();
  const at = (i: number): number => hash[i] ?? 0;
  return `127.${64 + (at(0) % 128)}.${at(1)}.${1 + (at(2) % 254)}`;
}

/**
 * Reserves an address on whose `port` nobody listens, for the VM in `directory`, by a file below `reservations`.
 * A reservation whose VM directory is gone counts as free.
 *
 * @throws ProviderError ERR_PROVIDER_CREATE
 */
export async function reserveAddress(
  reservations: string,
  directory: string,
  port: number,
  signal: AbortSignal,
): Promise<string> {
  await makeSecretDirectory(reservations);
  for (let n = 0; n < TRIES; n += 1) {
    signal.throwIfAborted();
    const address = candidateAddress(directory, n);
    if (!(await reserve(join(reservations, address), directory))) continue;
    if (await isFree(address, port)) return address;
    await rm(join(reservations, address), { force: true });
  }
  throw new ProviderError(
    'ERR_PROVIDER_CREATE',
    `none of ${TRIES} loopback addresses has port ${port} free`,
    {
      hint: 'choose another -forwarder-port, or see with `ss -ltn` what listens on that port on all addresses',
    },
  );
}

/** Gives back what the VM in `directory` reserved. */
export async function releaseAddresses(reservations: string, directory: string): Promise<void> {
  for (const name of await namesIn(reservations)) {
    const file = join(reservations, name);
    if (name.endsWith(asideOf(directory)) || (await holder(file)) === directory)
      await rm(file, { force: true });
  }
}

/**
 * True when a listener could have `address:port` now.
 * @throws ProviderError ERR_PROVIDER_CONFIG where the system has no such loopback address
 */
export async function isFree(address: string, port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen({ host: address, port, exclusive: true });
    await once(server, 'listening');
    return true;
  } catch (error) {
    if (codeOf(error) === 'EADDRINUSE') return false;
    throw new ProviderError(
      'ERR_PROVIDER_CONFIG',
      `cannot listen on ${address}:${port}: ${reasonOf(error)}`,
      {
        hint: 'the local provider needs Linux, where all of 127.0.0.0/8 is the loopback, and a -forwarder-port this user may use',
        cause: error,
      },
    );
  } finally {
    server.close();
  }
}

async function reserve(file: string, directory: string): Promise<boolean> {
  for (let attempt = 0; attempt < 2; attempt += 1) {
    // Written aside and then given its name: with a full disk, or a crash in between, no reservation of nobody stays.
    const aside = `${file}${asideOf(directory)}`;
    try {
      await writeFile(aside, directory);
      await link(aside, file);
      return true;
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
      const owner = await holder(file);
      if (owner === directory) return true;
      if (owner !== '' && existsSync(owner)) return false;
      await rm(file, { force: true });
    } finally {
      await rm(aside, { force: true });
    }
  }
  return false;
}

/** By its name it is known whose it is, also when a crash left it empty. */
const asideOf = (directory: string): string =>
  `.${createHash('sha256').update(directory).digest('hex').slice(0, 16)}`;

async function holder(file: string): Promise<string> {
  return readFile(file, 'utf8').catch(() => '');
}

async function namesIn(directory: string): Promise<string[]> {
  return readdir(directory).catch(() => []);
}
