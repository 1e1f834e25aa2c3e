// The file that is dumped. A dump should also show what is intact in a broken file, so faults are recorded and reading
// goes on.

import { PT_DYNAMIC } from "../../../lib/elf/constants.ts";
import { Dyn } from "../../../lib/elf/dyn.ts";
import { Ehdr, readEhdr } from "../../../lib/elf/ehdr.ts";
import { ElfError } from "../../../lib/elf/error.ts";
import { FileBytes, FileImage } from "../../../lib/elf/file.ts";
import { type Phdr, readPhdrs, sizeOfPhdrs } from "../../../lib/elf/phdr.ts";
import { type Quantity, quantityAt } from "../../../lib/elf/record.ts";
import { toOffset } from "../../../lib/memory/numbers.ts";

/** If a table has a thousand faults of the same kind, the first ones suffice. */
const MOST_FAULTS = 8;

/** Shown in place of a damaged part. The fault itself is reported at the end. */
export const UNREADABLE = "cannot be read";

export class Subject implements Disposable {
  readonly file: FileBytes;
  readonly ehdr: Ehdr;
  /** The header as it is in the file. */
  readonly head: DataView;
  readonly phdrTable: DataView;
  readonly phdrs: readonly Phdr[];
  /** What the dynamic section describes. Undefined if there is none, or none that can be read. */
  readonly image: FileImage | undefined;
  /** What to show for parts of the dynamic section if there is no image. */
  readonly absence: string;
  /** The dynamic section's entries, with all bits. `image.dynamic` has Infinity for values that no number can hold. */
  readonly entries: ReturnType<typeof entriesOf>;
  readonly #faults = new Map<string, ElfError>();

  /** Throws what open(2) throws, and ElfError if the file is not a program or shared object for this machine. */
  constructor(path: string) {
    this.file = new FileBytes(path);
    try {
      this.head = this.file.view(toOffset(0), Math.min(Ehdr.size, this.file.size), "ELF header");
      this.ehdr = readEhdr(path, this.head);
    } catch (error) {
      this.file[Symbol.dispose]();
      throw error;
    }
    const { file, ehdr } = this;
    const table = this.attempt(() => file.view(ehdr.e_phoff, sizeOfPhdrs(path, ehdr), "program headers"));
    this.phdrTable = table ?? new DataView(new ArrayBuffer(0));
    const phdrs = readPhdrs(this.phdrTable);
    this.phdrs = phdrs;
    const isDynamic = phdrs.some(({ p_type }) => p_type === PT_DYNAMIC);
    this.image = isDynamic ? this.attempt(() => new FileImage(file, ehdr, phdrs)) : undefined;
    this.absence = isDynamic ? UNREADABLE : "none";
    this.entries = this.image ? entriesOf(this.image) : [];
  }

  [Symbol.dispose](): void {
    this.file[Symbol.dispose]();
  }

  /** Undefined if an ElfError is thrown. The error is recorded. */
  attempt<T>(read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof ElfError)) throw error;
      if (this.#faults.size < MOST_FAULTS) this.#faults.set(error.message, error);
      return undefined;
    }
  }

  /** The value of a dynamic section entry. If there are several, the last one, which is the one ld.so uses. */
  valueOf(tag: number): Quantity | undefined {
    return this.entries.findLast((entry) => entry.tag === tag)?.value;
  }

  /** The faults found so far. */
  get faults(): ElfError[] {
    return [...this.#faults.values()];
  }
}

function entriesOf(image: FileImage) {
  const { entries } = image.dynamic;
  const view = image.bytes.view(image.dynamicAt, entries.length * Dyn.size, "dynamic section");
  return entries.map(({ at }) => ({
    tag: quantityAt(view, at + Dyn.offsetOf.d_tag),
    value: quantityAt(view, at + Dyn.offsetOf.d_val),
  }));
}
