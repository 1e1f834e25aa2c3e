// What can go wrong between sound files: a library that is not found, a symbol
// that nobody defines, a refusal by the loader.

/** What a {@link LinkError} is about; what there is not is undefined. */
export interface LinkDetails extends ErrorOptions {
  /** The file or soname at fault. */
  readonly object?: string;
  /** The symbol that is missing. */
  readonly symbol?: string;
  /** The version that the symbol was wanted in. */
  readonly version?: string;
  /** Where we looked, in order, and why each step gave nothing. */
  readonly tried?: readonly string[];
}

/**
 * A library or a symbol that is missing, or that cannot be used as it is. The command ends with 125 then.
 *
 * @hideconstructor
 */
export class LinkError extends Error {
  /** For who tells errors apart by it, where classes do not reach. */
  override readonly name = "LinkError";
  constructor(
    /** One paragraph: what could not be done, with what, why, and what would help. */
    message: string,
    /** What it is about, and where we looked. */
    readonly details: LinkDetails = {},
  ) {
    super(message, details);
  }
}
