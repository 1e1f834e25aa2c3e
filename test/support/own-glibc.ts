// Trees with a copy of this machine's own glibc, that say they have another version: with
// them a run on "another" glibc needs no network, and what it does is known.

import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { newestOf } from "../../lib/elf/glibc-version.ts";
import { Glibc } from "../../lib/tree/glibc.ts";
import { LIBC, LOADER } from "../../lib/tree/glibc-names.ts";
import { Search } from "../../lib/tree/search.ts";
import { Tree } from "../../lib/tree/tree.ts";

export const LIBRARIES = "usr/lib/x86_64-linux-gnu";
/** Newer than any. */
export const CLAIMED = "2.99";

const own = () => Glibc.of(new Search(new Tree("/")));

/** The version that programs get here. */
export const ownVersion = (): string => own()?.name ?? "";

/** Lays one out in `directory`, which is made. Each file is passed to `change` by its soname. */
export function copyOwnGlibc(
  directory: string,
  change: (soname: string, bytes: Buffer) => Buffer = claim(CLAIMED),
): string {
  const glibc = own();
  if (!glibc) throw new Error("This machine has no glibc");
  mkdirSync(join(directory, LIBRARIES), { recursive: true });
  mkdirSync(join(directory, "lib64"));
  symlinkSync("usr/lib", join(directory, "lib"));
  for (const [soname, path] of glibc.family)
    writeFileSync(join(directory, LIBRARIES, nameIn(soname, path)), change(soname, readFileSync(path)), {
      mode: 0o755,
    });
  const loader = nameIn(LOADER, glibc.loader);
  if (loader !== LOADER) symlinkSync(loader, join(directory, LIBRARIES, LOADER));
  // Where libc says that its ld.so is; absolute, as Debian 11 has it, and for the tree as root.
  symlinkSync(`/${LIBRARIES}/${LOADER}`, join(directory, "lib64", LOADER));
  const { characterSets } = glibc;
  if (characterSets !== undefined && existsSync(characterSets)) {
    mkdirSync(dirname(join(directory, characterSets)), { recursive: true });
    cpSync(characterSets, join(directory, characterSets), { recursive: true });
  }
  return directory;
}

/** Before 2.33 ld.so says in its file's name alone of which release it is. */
const nameIn = (soname: string, path: string): string => (soname === LOADER ? basename(path) : soname);

/** ld.so's file in such a tree. */
export const ownLoader = (): string => nameIn(LOADER, own()?.loader ?? LOADER);

/** Has libc's newest version be another one; programs that are content with an older one see no difference. */
export const claim =
  (version: string) =>
  (soname: string, bytes: Buffer): Buffer => {
    if (soname !== LIBC) return bytes;
    const newest = newestOf(own()?.libc.versions ?? [], "GLIBC").join(".");
    return replaced(bytes, `GLIBC_${newest}\0`, `GLIBC_${version}\0`);
  };

/** The same length, wherever it stands. Throws where it does not. */
export function replaced(bytes: Buffer, from: string, to: string): Buffer {
  if (from.length !== to.length) throw new Error(`"${from}" and "${to}" are not equally long`);
  const text = bytes.toString("latin1");
  if (!text.includes(from)) throw new Error(`There is no "${from}"`);
  return Buffer.from(text.replaceAll(from, to), "latin1");
}
