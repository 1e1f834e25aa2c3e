// Arguments: two host trees of the notgl family, a library that is linked to it and loaded later.

import { dlopen } from "bun:ffi";
import { openCapsule } from "../../../../src/index.ts";
import { say, TEXT } from "./show.ts";

const [host = "", another = "", caller = ""] = process.argv.slice(2);

const capsule = openCapsule({ host });
capsule.expose("libnotgl.so.0");
const { symbols } = dlopen(caller, { by_call: TEXT, by_first_call: TEXT });
say("by_call", symbols.by_call());
say("by_first_call", symbols.by_first_call());

const second = openCapsule({ host: another });
try {
  second.expose("libnotgl.so.0");
} catch (error) {
  say("exposed twice", (error as Error).message.split(":")[0]);
}
second.close();
say("stay", capsule.close().length);
say("by_call, closed", symbols.by_call());

const third = openCapsule({ host });
third.expose("libnotgles.so.1");
say("unused", third.close().length);
