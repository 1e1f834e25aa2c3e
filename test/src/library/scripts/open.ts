// Arguments: a host tree of the notgl family.

import { dlopen } from "bun:ffi";
import { openCapsule } from "../../../../src/index.ts";
import { say, TEXT } from "./show.ts";

const [host = "", own = ""] = process.argv.slice(2);

const native = dlopen(`${own}/libnotgl.so.0`, { notgl_get_implementation: TEXT, notgl_use_helper: TEXT });
const capsule = openCapsule({
  host,
  libraries: ["libnotgl.so.0"],
  environment: { HELPER_IMPLEMENTATION: "for it alone" },
});
const library = capsule.dlopen("libnotgl.so.0", {
  notgl_get_implementation: TEXT,
  notgl_use_helper: TEXT,
});
say("the process's", native.symbols.notgl_get_implementation());
const { symbols } = library;
say("the capsule's", symbols.notgl_get_implementation());
say("the process's helper", native.symbols.notgl_use_helper());
say("the capsule's helper", symbols.notgl_use_helper());
say("a variable of the capsule's in the process", process.env.HELPER_IMPLEMENTATION);
library.close();
for (const { name, path, why, neededBy, role } of capsule.answers)
  say(name, [path, why, neededBy ?? "the script", role].join(", "));
for (const { kind, path } of capsule) say(kind, path);
say("stays", capsule.close().join(" ") || "nothing");
say("the process's, afterwards", native.symbols.notgl_get_implementation());
