// SPDX-License-Identifier: Apache-2.0
// A NoCloud seed disk, made in memory: an ISO 9660 volume named cidata with a few files in its root. Writes nothing.

const SECTOR = 2048;
/** ECMA-119 6.2.1: the first sixteen sectors are the system's own. */
const PRIMARY = 16;
const ROOT = 20;

export interface SeedFile {
  /** Lower-case letters, digits and hyphens: as Linux and cloud-init see it. */
  readonly name: string;
  readonly content: string;
}

/** The seed of an instance: its user-data, and the name by which cloud-init knows a new machine from an old one. */
export function seedOf({ name, userData }: { readonly name: string; readonly userData: string }): Buffer {
  return seedDisk([
    { name: 'user-data', content: userData },
    { name: 'meta-data', content: `instance-id: ${name}\nlocal-hostname: ${name}\n` },
    { name: 'vendor-data', content: '' },
  ]);
}

/**
 * The bytes of the disk. Names are written in capitals with an empty extension and version 1, which Linux shows in
 * small letters and without either (ECMA-119 7.5, isofs `map=normal`), so no extension of the format is needed.
 */
export function seedDisk(files: readonly SeedFile[]): Buffer {
  const contents = files.map(file => Buffer.from(file.content));
  let next = ROOT + 1;
  const places = contents.map(content => {
    const at = next;
    next += Math.ceil(content.length / SECTOR);
    return at;
  });
  // Readers look ahead past the last file.
  const sectors = next + 16;
  const disk = Buffer.alloc(sectors * SECTOR);
  const root = directoryRecord('\0', ROOT, SECTOR, true);
  primaryDescriptor(sectors, root).copy(disk, PRIMARY * SECTOR);
  terminator().copy(disk, (PRIMARY + 1) * SECTOR);
  pathTable(false).copy(disk, (PRIMARY + 2) * SECTOR);
  pathTable(true).copy(disk, (PRIMARY + 3) * SECTOR);
  const records = files
    .map(({ name }, i) => ({ name: `${name.toUpperCase()}.;1`, i }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, i }) => directoryRecord(name, places[i] ?? 0, contents[i]?.length ?? 0, false));
  Buffer.concat([root, directoryRecord('\x01', ROOT, SECTOR, true), ...records]).copy(disk, ROOT * SECTOR);
  contents.forEach((content, i) => content.copy(disk, (places[i] ?? 0) * SECTOR));
  return disk;
}

/** ECMA-119 8.4. */
function primaryDescriptor(sectors: number, root: Buffer): Buffer {
  const b = Buffer.alloc(SECTOR);
  b.write('\x01CD001\x01', 0, 'latin1');
  b.fill(0x20, 8, 72);
  b.write('cidata', 40, 'latin1');
  both32(b, 80, sectors);
  both16(b, 120, 1);
  both16(b, 124, 1);
  both16(b, 128, SECTOR);
  both32(b, 132, 10);
  b.writeUInt32LE(PRIMARY + 2, 140);
  b.writeUInt32BE(PRIMARY + 3, 148);
  root.copy(b, 156);
  b.fill(0x20, 190, 813);
  // Four dates that are not given: sixteen zeros and an offset of 0 (8.4.26.1).
  for (let i = 0; i < 4; i += 1) b.write('0'.repeat(16), 813 + i * 17, 'latin1');
  b[881] = 1;
  return b;
}

function terminator(): Buffer {
  const b = Buffer.alloc(SECTOR);
  b.write('\xffCD001\x01', 0, 'latin1');
  return b;
}

/** ECMA-119 9.4, of the root alone. */
function pathTable(bigEndian: boolean): Buffer {
  const b = Buffer.alloc(10);
  b[0] = 1;
  if (bigEndian) {
    b.writeUInt32BE(ROOT, 2);
    b.writeUInt16BE(1, 6);
  } else {
    b.writeUInt32LE(ROOT, 2);
    b.writeUInt16LE(1, 6);
  }
  return b;
}

/** ECMA-119 9.1. No time is given. */
function directoryRecord(name: string, sector: number, length: number, isDirectory: boolean): Buffer {
  const size = 33 + name.length + (name.length % 2 === 0 ? 1 : 0);
  const b = Buffer.alloc(size);
  b[0] = size;
  both32(b, 2, sector);
  both32(b, 10, length);
  b[25] = isDirectory ? 2 : 0;
  both16(b, 28, 1);
  b[32] = name.length;
  b.write(name, 33, 'latin1');
  return b;
}

function both16(b: Buffer, at: number, value: number): void {
  b.writeUInt16LE(value, at);
  b.writeUInt16BE(value, at + 2);
}

function both32(b: Buffer, at: number, value: number): void {
  b.writeUInt32LE(value, at);
  b.writeUInt32BE(value, at + 4);
}
