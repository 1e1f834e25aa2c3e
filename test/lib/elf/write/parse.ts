// What other programs make of a file that we have written.

import { expect } from "bun:test";
import { open } from "elfinfo";
import type { FileImage } from "../../../../lib/elf/file.ts";

interface Shown {
  readonly value: number;
  readonly size: number;
  readonly type: string;
  readonly binding: string;
  readonly section: string;
  readonly name: string;
}

/** What readelf prints, which must not be a warning. */
export function readelf(path: string, ...options: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(["readelf", "-W", ...options, path], {
    env: { ...process.env, LC_ALL: "C" },
  });
  expect(stderr.toString()).toBe("");
  expect(exitCode).toBe(0);
  return stdout.toString();
}

/** The symbols, found through the dynamic section: there are no sections. */
export function symbolsByReadelf(path: string): Shown[] {
  const row = /^ +\d+: ([0-9a-f]{16}) +(\w+) (\w+|<OS specific>: \d+) +(\w+) +\w+ +(\w+) ?(\S*)$/gm;
  return Array.from(
    readelf(path, "-s", "-D").matchAll(row),
    ([, value = "", size = "", type = "", binding = "", section = "", name = ""]) => ({
      value: Number.parseInt(value, 16),
      size: Number(size),
      type,
      binding,
      section,
      name: name.replace(/@.*/, ""),
    }),
  );
}

/** elfinfo reads no symbols without sections, but headers. */
export async function expectSameByElfinfo(image: FileImage): Promise<void> {
  const { success, elf, errors, warnings } = await open(image.path);
  expect({ success, errors, warnings }).toEqual({ success: true, errors: [], warnings: [] });
  expect(elf?.type as number | undefined).toBe(image.ehdr.e_type);
  const theirs = elf?.segments.map(({ type, flags, offset, vaddr, filesz, memsz, align }) =>
    [type, flags, offset, vaddr, filesz, memsz, align].map(Number),
  );
  const ours = image.phdrs.map(({ p_type, p_flags, p_offset, p_vaddr, p_filesz, p_memsz, p_align }): number[] => {
    return [p_type, p_flags, p_offset, p_vaddr, p_filesz, p_memsz, p_align];
  });
  expect(theirs).toEqual(ours);
}
