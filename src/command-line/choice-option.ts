// An option that takes one of a few words, or several separated by commas. The words are for completions. The code that
// uses the option validates its value, which may also come from a variable.

import { Option } from "commander";

/** Each word with its meaning. */
export type Words = Readonly<Record<string, string>>;

export class ChoiceOption extends Option {
  constructor(
    flags: string,
    description: string,
    /** A function if finding them takes time. */
    readonly words: Words | (() => Words),
    /** What the option accepts instead of a word, or besides. */
    readonly takes: { readonly directory?: true; readonly list?: true } = {},
  ) {
    super(flags, description);
  }
}
