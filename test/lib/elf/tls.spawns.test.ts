// What files say of thread-local storage, and the objects that we make of it.

import { afterAll, describe, expect, test } from "bun:test";
import { checkFile } from "../../../lib/elf/check.ts";
import { openImage } from "../../../lib/elf/file.ts";
import { readTls, type Tls } from "../../../lib/elf/tls.ts";
import { symbolObject } from "../../../lib/elf/write/symbol-object.ts";

import { run, Scratch } from "./scratch.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

function tlsOf(path: string): Tls | undefined {
  using image = openImage(path);
  return readTls(image);
}

const library = (name: string, source: string, ...options: string[]) =>
  tlsOf(scratch.compile(name, source, "-shared", "-fPIC", ...options));

describe("readTls()", () => {
  const source =
    "__thread int one = 1; __thread char two[10]; static __thread long own; long *get(void) { return one ? &own : 0; }";

  test("is undefined for a library without", () => {
    expect(library("none.so", "int f(void) { return 1; }")).toBeUndefined();
  });

  test("has the size, the alignment and what is exported", () => {
    const tls = library("dynamic.so", source);
    expect(tls).toMatchObject({ size: 32, alignment: 8, isStatic: false, wanted: [] });
    expect(tls?.exported.toSorted()).toEqual(["one", "two"]);
  });

  test("tells that a library's own block has to be static", () => {
    for (const [name, text] of [
      ["static.so", source],
      ["hidden.so", "static __thread int own; int *get(void) { return &own; }"],
    ] as const)
      expect(library(name, text, "-ftls-model=initial-exec")).toMatchObject({ isStatic: true, wanted: [] });
  });

  test("tells a library that wants others' variables in static TLS from one whose own block has to be there", () => {
    const other = "extern __thread int other; int *get(void) { return &other; }";
    const tls = { size: 0, alignment: 0, isStatic: false, exported: [], wanted: ["other"] };
    expect(library("wanting.so", other, "-ftls-model=initial-exec")).toEqual(tls);
    const both = `${other} __thread long own; long *mine(void) { return &own; }`;
    const model = '__attribute__((tls_model("global-dynamic")))';
    expect(library("both.so", both.replace("long own", `long own ${model}`), "-ftls-model=initial-exec")).toMatchObject(
      {
        isStatic: false,
        exported: ["own"],
        wanted: ["other"],
      },
    );
  });

  test("takes descriptors for dynamic", () => {
    expect(library("descriptor.so", source, "-mtls-dialect=gnu2")).toMatchObject({ isStatic: false });
  });
});

describe("symbolObject()", () => {
  test("has a block of its own that has to be in static TLS", () => {
    const { bytes } = symbolObject({ soname: "libroom.so", staticTls: { size: 5000, alignment: 16 } });
    const path = scratch.write("libroom.so", bytes);
    checkFile(path);
    using image = openImage(path);
    expect(image.tls).toMatchObject({ p_memsz: 5000, p_align: 16, p_filesz: 0 });
    expect(run(["readelf", "-rDW", path])).toMatch(/R_X86_64_TPOFF64 +0$/m);
  });

  test("wants a variable of another object there, and does not define it", () => {
    const { bytes } = symbolObject({ soname: "libwants.so", needed: ["/opt/libother.so"], wantedTls: "other" });
    const path = scratch.write("libwants.so", bytes);
    checkFile(path);
    using image = openImage(path);
    expect(image.tls).toBeUndefined();
    expect(image.needed).toEqual(["/opt/libother.so"]);
    expect(image.find("other")).toBeUndefined();
    expect(run(["readelf", "-rDW", path])).toMatch(/R_X86_64_TPOFF64 +0+ other \+ 0$/m);
  });
});
