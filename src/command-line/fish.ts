// Completions for fish (3.4 and newer).
//
// Fish gives words without their quotes, but splits a word of two lines into two. So the line is parsed here.

import { complete, type Shell } from "./complete.ts";
import type { Model } from "./model.ts";
import { typedWords } from "./typed-line.ts";

const STUB = `# fish completion of capsule: capsule completions fish | source
function __capsule_ask
    set -l capsule (string replace -r '^~(?=/)' -- $HOME (commandline -opc)[1] | string match '*/*'; or echo capsule)
    set -g __capsule_answer
    type -q $capsule
    and set __capsule_answer ($capsule __complete fish (commandline -pc | string collect) 2>/dev/null | string split0)
    # Paths are completed by fish itself where nothing else is.
    test "$__capsule_answer[1]" != files
end

function __capsule_tell
    set -q __capsule_answer[4]; and string join0 -- $__capsule_answer[4..]
    set -l kept $__capsule_answer[2]
    set -l rest $__capsule_answer[3]
    switch $__capsule_answer[1]
        case directories
            # Escaped, so that each is one line.
            for path in (complete --escape -C"'' $rest" | string match -r '^[^\\t]*/(?=\\t|$)')
                printf '%s%s\\tdirectory\\0' $kept (string unescape -- $path | string collect)
            end
        case program programs
            complete -C$rest | string replace -r '^' -- $kept | string join0
    end
end

complete -c capsule -n __capsule_ask -f -a '(__capsule_tell | string split0)'
`;

/** The argument is the line up to the cursor. */
function answer([line = ""]: readonly string[], model: Model): string[] {
  const typed = typedWords(line, "fish");
  const current = typed.at(-1);
  const given = typed.map(({ text }) => text);
  const found = complete(model, given);
  if (found.program !== undefined) return ["program", "", line.slice(typed[found.program]?.start)];
  const kept = found.stays.text;
  // Fish matches options by prefix, and all other candidates by letters that they contain.
  const isWanted = (word: string) => found.kind !== "options" || word.startsWith(current?.text ?? "");
  const words = found.words.filter(({ word }) => isWanted(word)).map(({ word, text }) => `${kept}${word}\t${text}`);
  return [found.paths ?? "", kept, current?.behind(kept.length) ?? "", ...words];
}

export const FISH: Shell = { stub: STUB, answer };
