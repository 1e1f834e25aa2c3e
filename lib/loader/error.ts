// What can go wrong between sound files: a library that is not found, a symbol
// that nobody defines, a refusal by the loader.

export interface LinkDetails extends ErrorOptions {
  /** The file or soname at fault. */
  readonly object?: string;
  readonly symbol?: string;
  readonly version?: string;
  /** Where we looked, in order, and why each step gave nothing. */
  readonly tried?: readonly string[];
}

export class LinkError extends Error {
  override readonly name = "LinkError";
  constructor(
    message: string,
    readonly details: LinkDetails = {},
  ) {
    super(message, details);
  }
}
