// Completions for zsh, with its own completion functions.

import { complete, type Shell } from "./complete.ts";
import type { Model } from "./model.ts";

const STUB = `#compdef capsule
# zsh completion of capsule: source <(capsule completions zsh)
# or, as _capsule, in a directory of fpath.
_capsule() {
  local capsule=capsule cut
  [[ $words[1] == */* ]] && capsule=\${(Q)~words[1]}
  local -a answer=(\${(0)"$("$capsule" __complete zsh "\${(@Q)words[1,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)"})
  local -a how=(\${=answer[1]}) assigned
  answer=("\${(@)answer[2,-1]}")
  for cut in $how[2,-1]; do
    case $cut in
      '=') compset -P 1 '*=' ;;
      ,) compset -P '*,' ;;
    esac
  done
  case $how[1] in
    commands) _describe -t commands command answer ;;
    options)
      assigned=(\${\${(M)answer:#*=:*}/=:/:}) answer=(\${answer:#*=:*})
      _describe -o option answer -- assigned -qS =
      ;;
    values) _describe -t values value answer ;;
    list) _describe -t values value answer -qS , ;;
    words-or-directories)
      _describe -t values value answer
      _directories
      ;;
    files) _files ;;
    directories) _directories ;;
    programs) _command_names -e ;;
    program)
      # From that word on it is the program's own command line.
      shift $how[2] words
      (( CURRENT -= how[2] ))
      _normal
      ;;
    message) _message $answer[1] ;;
  esac
}

if [[ $funcstack[1] == _capsule ]]; then
  _capsule "$@"
else
  compdef _capsule capsule
fi
`;

/** The arguments are the words without quotes. */
function answer(asked: readonly string[], model: Model): string[] {
  const { kind, words, paths, stays, isList, program, message } = complete(model, asked);
  if (program !== undefined) return [`program ${program}`];
  const how = words.length === 0 ? paths : paths ? "words-or-directories" : isList ? "list" : kind;
  const head = [message === undefined ? how : "message", ...stays.cuts].join(" ");
  if (message !== undefined) return [head, message.replace(/\W/g, "")];
  // A colon ends the word.
  const entries = words.map(
    ({ word, text, isAssigned }) => `${word.replace(/[\\:]/g, "\\$&")}${isAssigned ? "=" : ""}:${text}`,
  );
  return [head, ...entries];
}

export const ZSH: Shell = { stub: STUB, answer };
