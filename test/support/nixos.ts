// A copy of a Debian's tree that is laid out as NixOS is: no /usr/lib and no ld.so.cache; packages in a store, and in
// /run/opengl-driver links to what is for graphics. Its files are the tree's own, by hard links.

import {
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { madeOnce } from "./cache.ts";
import { type Suite, tree } from "./trees.ts";

const LIBRARIES = "x86_64-linux-gnu";
const PACKAGE = "/nix/store/0c3vxqbmn0dk3jwvkbbnfh0zxnhhx9gr-mesa";
const DRIVERS = "/nix/store/1iz3kcqm0r5nabv9c4p7ylsgxlw2xf4b-graphics-drivers";

/** The copy, of that release's tree. */
export async function nixTree(suite: Suite): Promise<string> {
  const model = await tree(suite);
  return madeOnce(`${model}-as-nixos`, async (directory) => {
    for (const from of [join("usr/lib", LIBRARIES), join("lib", LIBRARIES)])
      copy(join(model, from), join(directory, PACKAGE, "lib"));
    copy(join(model, "usr/share"), join(directory, PACKAGE, "share"));
    for (const part of ["lib", "share"]) {
      mkdirSync(join(directory, DRIVERS, part), { recursive: true });
      for (const name of readdirSync(join(directory, PACKAGE, part)))
        symlinkSync(join(PACKAGE, part, name), join(directory, DRIVERS, part, name));
    }
    mkdirSync(join(directory, "run"));
    symlinkSync(DRIVERS, join(directory, "run/opengl-driver"));
  });
}

/** What is there already stays. */
function copy(from: string, to: string): void {
  const stat = lstatSync(to, { throwIfNoEntry: false });
  const model = lstatSync(from);
  if (model.isDirectory()) {
    mkdirSync(to, { recursive: true });
    for (const name of readdirSync(from)) copy(join(from, name), join(to, name));
  } else if (stat) return;
  // Manifests, which name libraries.
  else if (from.endsWith(".json"))
    writeFileSync(to, readFileSync(from, "utf8").replaceAll(join("/usr/lib", LIBRARIES), join(PACKAGE, "lib")));
  else if (!model.isSymbolicLink()) linkSync(from, to);
  // An absolute link is to another directory of the tree, all of whose libraries are here.
  else
    symlinkSync(
      readlinkSync(from).replace(/^(\/|\.\.\/).*$/, (path) => basename(path)),
      to,
    );
}
