// A file's section headers (gABI, "Sections"), for display. Loading needs none, so nothing else here uses them.

import { toOffset } from "../memory/numbers.ts";
import { SHN_XINDEX } from "./constants.ts";
import type { Ehdr } from "./ehdr.ts";
import { ElfError } from "./error.ts";
import type { FileBytes } from "./file.ts";
import { Shdr } from "./shdr.ts";
import { StringTable } from "./strings.ts";

interface SectionTable {
  readonly view: DataView;
  readonly length: number;
  /** Undefined if the file does not name its sections. */
  readonly names: StringTable | undefined;
}

/** Undefined if the file has none. Throws ElfError. */
export function readSections(file: FileBytes, ehdr: Ehdr): SectionTable | undefined {
  if (ehdr.e_shoff === 0) return undefined;
  const fault = (text: string) => new ElfError(file.path, "ELF header", text);
  if (ehdr.e_shentsize !== Shdr.size) throw fault(`e_shentsize is ${ehdr.e_shentsize}, not ${Shdr.size}`);
  // Values that do not fit in 16 bits are in the first header, which describes no section.
  const first = Shdr.at(file.view(ehdr.e_shoff, Shdr.size, "section headers"));
  const length = ehdr.e_shnum || first.sh_size;
  const named = ehdr.e_shstrndx === SHN_XINDEX ? first.sh_link : ehdr.e_shstrndx;
  const view = file.view(ehdr.e_shoff, length * Shdr.size, "section headers");
  if (named === 0) return { view, length, names: undefined };
  if (named >= length) throw fault(`e_shstrndx is ${named}, and there are ${length} sections`);
  const { sh_offset, sh_size } = Shdr.at(view, named * Shdr.size);
  const names = new StringTable(file.path, sh_size, (offset, size) =>
    file.view(toOffset(sh_offset + offset), size, "section names"),
  );
  return { view, length, names };
}
