// SPDX-License-Identifier: Apache-2.0
// The public names of the package: the user-data from adaptor to pod VM.
export { parseApf, renderApf, type ApfConfig } from './apf.js';
export { parseCloudConfig, renderCloudConfig, type UserDataFile } from './cloud-config.js';
export { GUEST_PATHS } from './guest-paths.js';
export { renderInitdata } from './initdata.js';
export { initdataFiles } from './initdata-files.js';
export { measureUserData, sizesInWords } from './user-data-size.js';
