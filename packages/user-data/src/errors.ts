// SPDX-License-Identifier: Apache-2.0
// What can be wrong with user-data, with where it comes from, and with writing it down.
import { CodedError } from '@peerpod-tls/base';

export type UserDataErrorCode =
  /** The source cannot be read. */
  | 'ERR_USER_DATA_SOURCE'
  /** Nothing came before the deadline. */
  | 'ERR_USER_DATA_TIMEOUT'
  /** The user-data, a file in it or apf.json is larger than its limit. */
  | 'ERR_USER_DATA_TOO_LARGE'
  /** The user-data is not cloud-config as an adaptor writes it. */
  | 'ERR_USER_DATA_FORMAT'
  /** A key that means something we do not do. */
  | 'ERR_USER_DATA_KEY'
  /** A path that is not absolute, goes up, or comes twice. */
  | 'ERR_USER_DATA_PATH'
  /** A content that cannot be sent as text. */
  | 'ERR_USER_DATA_CONTENT'
  /** apf.json is not what a forwarder reads. */
  | 'ERR_USER_DATA_APF'
  /** Initdata that cannot be unpacked or read. */
  | 'ERR_USER_DATA_INITDATA'
  /** Registry credentials that are none. */
  | 'ERR_USER_DATA_AUTH'
  /** A link, a foreign directory or no regular file on the way to a file. */
  | 'ERR_USER_DATA_UNSAFE_PATH'
  | 'ERR_USER_DATA_WRITE';

export class UserDataError extends CodedError<UserDataErrorCode> {}
