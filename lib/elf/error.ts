// What is wrong with an ELF file or image, with the structure that shows it.

/** A file that is no sound ELF image, or not one of ours. */
export class ElfError extends Error {
  override readonly name = "ElfError";
  constructor(
    readonly path: string,
    /** The structure at fault, in the specification's terms: "ELF header", "dynamic section", … */
    readonly structure: string,
    /** What is wrong with it. */
    readonly fault: string,
    options?: ErrorOptions,
  ) {
    super(`Cannot read "${path}": ${structure}: ${fault}`, options);
  }
}
