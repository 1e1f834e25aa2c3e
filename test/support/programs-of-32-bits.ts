// Whether this machine runs 32-bit programs: some kernels, and some virtual machines, do not (execve(2): ENOEXEC), and
// nothing can be installed for that.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ehdr32, Phdr32 } from "../../lib/elf/elf32.ts";

/** exit(0): mov $1, %eax; xor %ebx, %ebx; int $0x80 */
const CODE = [0xb8, 1, 0, 0, 0, 0x31, 0xdb, 0xcd, 0x80];
const BASE = 0x10000;

function program(): Uint8Array {
  const bytes = new Uint8Array(Ehdr32.size + Phdr32.size + CODE.length);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  const [type, machine, version] = [2, 3, 1]; // ET_EXEC, EM_386, EV_CURRENT
  view.setUint16(16, type, true);
  view.setUint16(18, machine, true);
  view.setUint32(20, version, true);
  view.setUint32(24, BASE + Ehdr32.size + Phdr32.size, true); // e_entry
  view.setUint32(28, Ehdr32.size, true); // e_phoff
  view.setUint16(40, Ehdr32.size, true); // e_ehsize
  view.setUint16(42, Phdr32.size, true); // e_phentsize
  view.setUint16(44, 1, true); // e_phnum
  const [load, flags, align] = [1, 5, 0x1000];
  [load, 0, BASE, BASE, bytes.length, bytes.length, flags, align].forEach((word, i) => {
    view.setUint32(Ehdr32.size + 4 * i, word, true);
  });
  bytes.set(CODE, Ehdr32.size + Phdr32.size);
  return bytes;
}

function probe(): boolean {
  const directory = mkdtempSync(join(tmpdir(), "capsule-test-"));
  try {
    const path = join(directory, "program");
    writeFileSync(path, program(), { mode: 0o755 });
    return Bun.spawnSync([path]).exitCode === 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOEXEC") throw error;
    return false;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

export const runs32 = probe();
