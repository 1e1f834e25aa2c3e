// What is wrong with an ELF file or image, and in which structure.

/**
 * A file that is not a valid ELF image, or not one for x86-64 Linux. The command then exits with status 125.
 *
 * @hideconstructor
 */
export class ElfError extends Error {
  /** For telling errors apart where instanceof does not work. */
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
