// SPDX-License-Identifier: Apache-2.0
// What the machine says it is: the strings its firmware gives to the kernel (SMBIOS, DSP0134). Node.js cannot ask the
// processor for its hypervisor; these strings are as good, and tell a cloud from another user of the same hypervisor.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface Machine {
  /** DMI system manufacturer, like `Amazon EC2`. Each is empty where the machine does not say. */
  readonly vendor: string;
  /** DMI product name, like `Google Compute Engine`. */
  readonly product: string;
  /** DMI chassis asset tag. */
  readonly chassisTag: string;
}

/** Reads the strings below `root`; a root that is not the machine's own has none. */
export async function describeMachine(root = '/'): Promise<Machine> {
  const read = async (name: string): Promise<string> => {
    try {
      const text = await readFile(join(root, 'sys/class/dmi/id', name), 'utf8');
      return text.trim().slice(0, 200);
    } catch {
      return '';
    }
  };
  const [vendor, product, chassisTag] = await Promise.all([
    read('sys_vendor'),
    read('product_name'),
    read('chassis_asset_tag'),
  ]);
  return { vendor, product, chassisTag };
}
