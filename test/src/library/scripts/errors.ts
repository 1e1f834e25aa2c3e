// Arguments: a host tree of the notgl family, an empty directory, a file that is no library.

import { openCapsule } from "../../../../src/index.ts";
import { TEXT } from "./show.ts";

const [host = "", empty = "", text = ""] = process.argv.slice(2);

const tell = (what: string, action: () => unknown): void => {
  try {
    console.log(`${what}: ${action() ?? "undefined"}`);
  } catch (error) {
    const { name, message } = error as Error;
    console.log(`${what}: ${name}: ${message.split(": ")[0]}`);
  }
};

const capsule = openCapsule({ host });
tell("no such library", () => capsule.dlopen("libnone.so.1", {}));
tell("no such function", () => capsule.dlopen("libnotgl.so.0", { notgl_none: TEXT }));
tell("one that everybody shares", () => capsule.dlopen("libc.so.6", {}));
tell("no such file", () => capsule.dlopen("./none.so", {}));
tell("a directory", () => capsule.dlopen(empty, {}));
tell("no library", () => capsule.dlopen(text, {}));
tell("an address", () => typeof capsule.symbol("notgl_use_helper"));
tell("no address", () => capsule.symbol("notgl_none"));
tell("no version", () => capsule.symbol("notgl_use_helper", "NOTGL_2"));
tell("none found", () => capsule.findSymbol("notgl_none"));
tell("not to be exposed", () => capsule.expose("libnone.so.1"));
tell("nothing to redirect", () => capsule.redirect().slots.length);
capsule.close();
tell("closed twice", () => capsule.close().length);
tell("used when it is closed", () => capsule.symbol("notgl_use_helper"));
tell("no tree", () => openCapsule({ host: `${empty}/none` }));
tell("a tree that is none", () => openCapsule({ host: text }));
tell("an empty tree", () => openCapsule({ host: empty, libraries: ["libnotgl.so.0"] }));
tell("no profile", () => openCapsule({ profiles: ["none" as "gl"] }));
const all: ReturnType<typeof openCapsule>[] = [];
tell("one more than there can be", () => {
  for (;;) all.push(openCapsule({ host }));
});
tell("as many as there can be", () => all.length);
all.at(7)?.close();
tell("again", () => openCapsule({ host }).namespace);
