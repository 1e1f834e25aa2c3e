// An option that takes one of a few words, or several with commas between them. What
// they are is told to completions; whether a word is one of them is said where it is
// used, since it may come from a variable, too.

import { Option } from "commander";

/** Words, each with what it means. */
export type Words = Readonly<Record<string, string>>;

export class ChoiceOption extends Option {
  constructor(
    flags: string,
    description: string,
    /** A function where finding them out takes time. */
    readonly words: Words | (() => Words),
    /** What may be there instead of a word, or besides. */
    readonly takes: { readonly directory?: true; readonly list?: true } = {},
  ) {
    super(flags, description);
  }
}
