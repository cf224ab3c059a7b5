// SPDX-License-Identifier: Apache-2.0
// What every source of user-data is. Knows nothing of what is in user-data.

export interface UserDataSource {
  /** For messages and logs, like `the file /media/cidata/user-data`. */
  readonly describe: string;
  /**
   * Waits until the user-data is there and complete, and gives its bytes. Rejects with a UserDataError when waiting longer
   * cannot help, or with the signal's reason.
   *
   * @param onTrouble - hears of each try that failed and will be repeated, in words without any content
   */
  read(signal: AbortSignal, onTrouble?: (trouble: string) => void): Promise<Uint8Array>;
}
