// Trees of empty libraries, built by cc: nothing but sonames, and who needs whom.

import { mkdirSync, symlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { run, Scratch } from "../lib/elf/scratch.ts";

export interface Linked {
  readonly needs?: readonly string[];
  /** DT_AUXILIARY, sonames. */
  readonly filters?: readonly string[];
  readonly rpath?: string;
  readonly runpath?: string;
  /** Where it is not the name of the file. */
  readonly soname?: string;
}

/** Where such trees have their libraries. */
export const LIBRARIES = "usr/lib";

export class LinkedTrees extends Scratch {
  /**
   * A library at a path, "host/usr/lib/libred.so.1.2.0", with a link by its soname; `needs` are sonames of anything.
   * Returns its path.
   */
  library(path: string, linked: Linked = {}): string {
    const name = basename(path);
    const { soname = name.replace(/(\.so\.\d+)\..*/, "$1") } = linked;
    const made = this.#link(path, ["-shared", `-Wl,-soname,${soname}`], linked);
    if (soname !== name) symlinkSync(name, join(dirname(made), soname));
    return made;
  }

  program(path: string, linked: Linked = {}): string {
    return this.#link(path, ["-Wl,-e,0", "-Wl,--dynamic-linker=/lib64/ld-linux-x86-64.so.2"], linked);
  }

  #link(path: string, flags: readonly string[], { needs = [], filters = [], rpath, runpath }: Linked): string {
    const made = this.path(path);
    mkdirSync(dirname(made), { recursive: true });
    const paths = [
      ...(rpath === undefined ? [] : ["-Wl,--disable-new-dtags", `-Wl,-rpath,${rpath}`]),
      ...(runpath === undefined ? [] : ["-Wl,--enable-new-dtags", `-Wl,-rpath,${runpath}`]),
    ];
    const filtees = filters.map((soname) => `-Wl,--auxiliary=${soname}`);
    const stubs = needs.map((soname) => this.#stub(soname));
    run([
      "cc",
      "-nostdlib",
      "-o",
      made,
      ...flags,
      ...paths,
      ...filtees,
      "-Wl,--no-as-needed",
      ...stubs,
      "-x",
      "c",
      "/dev/null",
    ]);
    return made;
  }

  readonly #stubs = new Map<string, string>();

  /** What is linked to in place of a library that may not be there yet. */
  #stub(soname: string): string {
    let stub = this.#stubs.get(soname);
    if (stub === undefined) {
      stub = this.path(`stub-${this.#stubs.size}.so`);
      run(["cc", "-nostdlib", "-shared", "-o", stub, `-Wl,-soname,${soname}`, "-x", "c", "/dev/null"]);
      this.#stubs.set(soname, stub);
    }
    return stub;
  }
}
