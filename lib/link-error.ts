// Errors between valid files: a library that is not found, a symbol that nobody defines, a refusal by the loader.

/** What a {@link LinkError} is about. Fields that do not apply are undefined. */
export interface LinkDetails extends ErrorOptions {
  /** The file or soname at fault. */
  readonly object?: string;
  /** The symbol that is missing. */
  readonly symbol?: string;
  /** The symbol version that was wanted. */
  readonly version?: string;
  /** Where we looked, in order, and why each step failed. */
  readonly tried?: readonly string[];
}

/**
 * A library or a symbol that is missing or unusable. The command then exits with status 125.
 *
 * @hideconstructor
 */
export class LinkError extends Error {
  /** For telling errors apart where instanceof does not work. */
  override readonly name = "LinkError";
  constructor(
    /** One paragraph: what failed, on what, why, and what would help. */
    message: string,
    /** What it is about, and where we looked. */
    readonly details: LinkDetails = {},
  ) {
    super(message, details);
  }
}
