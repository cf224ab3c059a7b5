// SPDX-License-Identifier: Apache-2.0
// The public names of the package: the user-data from adaptor to pod VM.
export { parseApf, renderApf, type ApfConfig, type ParsedApf } from './apf.js';
export { parseCloudConfig, renderCloudConfig, type UserDataFile } from './cloud-config.js';
export { UserDataError, type UserDataErrorCode } from './errors.js';
export { GUEST_PATHS, INITDATA_PATHS, USER_DATA_PATHS, SEED_FILE } from './guest-paths.js';
export {
  MAX_INITDATA_BYTES,
  parseInitdata,
  renderInitdata,
  unpackInitdata,
  type Initdata,
  type InitdataAlgorithm,
} from './initdata.js';
export { initdataFiles, type InitdataFiles } from './initdata-files.js';
export { measureUserData, sizesInWords, type UserDataSize } from './user-data-size.js';
export { provisionFiles, type ProvisionOptions, type ProvisionReport } from './guest/provision.js';
export { fileSource, type FileSourceOptions } from './guest/sources/file.js';
export type { UserDataSource } from './guest/sources/source.js';
