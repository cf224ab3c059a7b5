// SPDX-License-Identifier: Apache-2.0
// The public names of the package: the letter from adaptor to pod VM.
export { parseApf, renderApf, type ApfConfig, type ParsedApf } from './apf.js';
export { parseCloudConfig, renderCloudConfig, type LetterFile } from './cloud-config.js';
export { UserDataError, type UserDataErrorCode } from './errors.js';
export { GUEST_PATHS, LETTER_PATHS, SEED_FILE } from './guest-paths.js';
export { provisionFiles, type ProvisionOptions, type ProvisionReport } from './provision.js';
export { fileSource, type FileSourceOptions, type UserDataSource } from './source.js';
