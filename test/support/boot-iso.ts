/** An ISO image that boots a sector, as small as El Torito lets it be: no files, only what a BIOS looks at. */
import { writeFileSync } from 'node:fs';

const SECTOR = 2048;
/** Where things stand, in sectors; the first three are where every BIOS looks. */
const [PRIMARY, BOOT_RECORD, END, CATALOG, IMAGE] = [16, 17, 18, 19, 20];
const PAD = 32;

export function writeBootIso(file: string, bootSector: Buffer): void {
  const iso = Buffer.alloc((IMAGE + PAD) * SECTOR);
  const descriptor = (at: number, type: number) => {
    iso.writeUInt8(type, at * SECTOR);
    iso.write('CD001\x01', at * SECTOR + 1, 'latin1');
  };
  descriptor(PRIMARY, 1);
  iso.writeUInt32LE(IMAGE + PAD, PRIMARY * SECTOR + 80);
  iso.writeUInt16LE(SECTOR, PRIMARY * SECTOR + 128);
  descriptor(BOOT_RECORD, 0);
  iso.write('EL TORITO SPECIFICATION', BOOT_RECORD * SECTOR + 7, 'latin1');
  iso.writeUInt32LE(CATALOG, BOOT_RECORD * SECTOR + 0x47);
  descriptor(END, 255);
  const catalog = CATALOG * SECTOR;
  iso.writeUInt8(1, catalog);
  iso.writeUInt16LE(0xaa55, catalog + 30);
  let sum = 0;
  for (let offset = 0; offset < 32; offset += 2) sum += iso.readUInt16LE(catalog + offset);
  iso.writeUInt16LE(-sum & 0xffff, catalog + 28);
  iso.writeUInt8(0x88, catalog + 32); // bootable, no emulation
  iso.writeUInt16LE(4, catalog + 38); // sectors of 512 bytes
  iso.writeUInt32LE(IMAGE, catalog + 40);
  bootSector.copy(iso, IMAGE * SECTOR);
  writeFileSync(file, iso);
}
