// SPDX-License-Identifier: Apache-2.0
// Lets a caller wait for a job that is not its own: the caller may leave, the job goes on.

/** The outcome of a job, or the caller's own end if that comes first. */
export function withCaller(job: Promise<void>, caller: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const left = (): void => reject(caller.reason);
    if (caller.aborted) left();
    caller.addEventListener('abort', left, { once: true });
    job.then(resolve, reject).finally(() => caller.removeEventListener('abort', left));
  });
}
