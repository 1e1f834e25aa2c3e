// What is wrong with an ELF file or image, with the structure that shows it.

/**
 * A file that is no sound ELF image, or not one for x86-64 Linux. The command ends with 125 then.
 *
 * @hideconstructor
 */
export class ElfError extends Error {
  /** For who tells errors apart by it, where classes do not reach. */
  override readonly name = "ElfError";
  constructor(
    /** The file. */
    readonly path: string,
    /** The structure at fault, in the specification's terms: "ELF header", "dynamic section", … */
    readonly structure: string,
    /** What is wrong with it. */
    readonly fault: string,
    /** The `cause`, if there is one. */
    options?: ErrorOptions,
  ) {
    super(`Cannot read "${path}": ${structure}: ${fault}`, options);
  }
}
