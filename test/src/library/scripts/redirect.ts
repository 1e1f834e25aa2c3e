// Arguments: a host tree of the notgl family, a library that uses the process's own copy.

import { dlopen } from "bun:ffi";
import { openCapsule } from "../../../../src/index.ts";
import { say, TEXT } from "./show.ts";

const [host = "", caller = ""] = process.argv.slice(2);

const { symbols } = dlopen(caller, {
  by_call: TEXT,
  by_first_call: TEXT,
  by_data: TEXT,
  by_address: TEXT,
  by_what_others_lack: TEXT,
});
const tell = (when: string) => {
  for (const name of ["by_call", "by_data", "by_address", "by_what_others_lack"] as const)
    say(`${name}, ${when}`, symbols[name]());
};

tell("before");
{
  using capsule = openCapsule({ host, libraries: ["libnotgl.so.0"] });
  const redirection = capsule.redirect();
  tell("redirected");
  say("by_first_call, redirected", symbols.by_first_call());
  for (const { symbol, from, to } of redirection.slots) say(symbol, `${from} → ${to}`);
  for (const { symbol, from } of redirection.kept) say(`${symbol} stays`, from);
  redirection.undo();
  tell("undone");
  say("by_first_call, undone", symbols.by_first_call());
  say("slots of others", capsule.redirect((path) => path !== caller).slots.length);
  capsule.redirect((path) => path === caller);
  tell("redirected again");
}
tell("closed");
