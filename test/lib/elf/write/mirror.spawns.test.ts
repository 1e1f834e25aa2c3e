// Mirrors: read back by our own reader and by others', and loaded by glibc in a process of its own.

import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { checkFile } from "../../../../lib/elf/check.ts";
import { DT_VERNEED, SHN_ABS, SHN_UNDEF, STT_FUNC, STT_NOTYPE, STT_TLS } from "../../../../lib/elf/constants.ts";
import { openImage } from "../../../../lib/elf/file.ts";
import { type LoadedImage, loadedImage } from "../../../../lib/elf/loaded.ts";
import { bindingOf, isExported, Sym, typeOf } from "../../../../lib/elf/sym.ts";
import { sysvHash } from "../../../../lib/elf/sysv-hash.ts";
import { type MirrorOptions, mirrorOf, symbolsAt } from "../../../../lib/elf/write/mirror.ts";
import { dlmopen, LM_ID_BASE, linkMapOf, RTLD_LAZY } from "../../../../lib/loader/calls.ts";
import { LoadedObject } from "../../../../lib/loader/link-map.ts";
import { PAGE_SIZE, toAddress, toVaddr } from "../../../../lib/memory/numbers.ts";
import { Libc } from "../../../../lib/process/libc.ts";
import { run as runToEnd } from "../../../support/run.ts";
import { plain } from "../everything.ts";
import { installed, Scratch } from "../scratch.ts";
import { smallImage } from "../small-image.ts";
import { buildSpecimens, loadedFile } from "../specimens.ts";
import type { Loaded } from "./load.ts";
import { expectSameByElfinfo, readelf, symbolsByReadelf } from "./parse.ts";

setDefaultTimeout(20_000);

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());
const specimens = buildSpecimens(scratch);

const libc = new Libc();

/** The image of a library in this process, which loads it where it has not. */
function loaded(path: string): LoadedImage {
  const handle = libc.run(dlmopen(libc, LM_ID_BASE, path, RTLD_LAZY));
  return new LoadedObject(libc, libc.run(linkMapOf(libc, handle))).image;
}

let count = 0;
function mirror(source: LoadedImage, options: Partial<MirrorOptions> = {}) {
  const { bytes, plan } = mirrorOf(source, { soname: source.soname ?? "libmirror.so", ...options });
  return { path: scratch.write(`mirror-${count++}.so`, bytes), plan };
}

const X11 = installed("libX11.so.6");
const QUIET = `extern int puts(const char *); static int (*held)(const char *) __attribute__((used)) = puts;`;

/** What becomes of a thread-local symbol: an undefined one without a type, which glibc passes over. */
const withoutPlace = (sym: Sym): Sym => ({
  ...sym,
  st_info: (bindingOf(sym) << 4) | STT_NOTYPE,
  st_shndx: SHN_UNDEF,
  st_value: toVaddr(0),
});

const sources: Record<string, string | undefined> = {
  "libc.so.6": loadedFile("libc.so.6"),
  "libm.so.6": loadedFile("libm.so.6"),
  "ld-linux-x86-64.so.2": loadedFile("ld-linux-x86-64.so.2"),
  "libX11.so.6": X11,
  "symbol versions": specimens["symbol versions"],
  "a SysV hash table alone": specimens["a SysV hash table alone"],
  "a GNU hash table alone": specimens["a GNU hash table alone"],
  "no exported symbol": scratch.compile(
    "libquiet.so",
    QUIET,
    "-shared",
    "-fPIC",
    "-nostartfiles",
    "-Wl,--hash-style=gnu",
  ),
};

for (const [name, path] of Object.entries(sources)) {
  describe.skipIf(path === undefined)(`a mirror of ${name}${path === undefined ? " (not installed)" : ""}`, () => {
    const real = () => loaded(path ?? "");

    test("has every symbol where it is in this process, absolutely, and nothing else of it changes", () => {
      const source = real();
      using image = openImage(mirror(source).path);
      // Where nothing is exported, only relocations say how many symbols there are, and a mirror has none.
      if (source.symbols.length !== image.symbols.length) expect(source.gnuHash?.isEmpty).toBe(true);
      for (const [index, copy] of [...image.symbols].entries()) {
        const original = plain(Sym, source.symbols.at(index));
        const { st_shndx, st_value } = original;
        const isDefined = ![SHN_UNDEF, SHN_ABS].includes(st_shndx);
        const expected = isDefined
          ? { ...original, st_shndx: SHN_ABS, st_value: toVaddr(source.addressOf(st_value)) }
          : original;
        expect(plain(Sym, copy)).toEqual(isDefined && typeOf(original) === STT_TLS ? withoutPlace(original) : expected);
      }
    });

    test("shows the same where it is loaded, relative to that", () => {
      const source = real();
      for (const bias of [0x1000, source.loadBias - 0x1_2345_6000, source.loadBias + 0x1_ffff_f000]) {
        const { buffer, length } = symbolsAt(source, toAddress(bias), false);
        for (let index = 0; index * Sym.size < length; index++) {
          const { st_value, st_shndx } = Sym.at(new DataView(buffer), index * Sym.size);
          const original = source.symbols.at(index);
          if (original.st_shndx === SHN_UNDEF || original.st_shndx === SHN_ABS || typeOf(original) === STT_TLS)
            continue;
          expect(bias + st_value).toBe(source.symbolAddress(index));
          expect(st_shndx).not.toBe(SHN_ABS);
        }
      }
    });

    test("defines no thread-local symbol any more", () => {
      using image = openImage(mirror(real()).path);
      for (const sym of image.symbols) if (typeOf(sym) === STT_TLS) expect(sym.st_shndx).toBe(SHN_UNDEF);
      expect(image.tls).toBeUndefined();
    });

    test("finds every name of every version by its hash tables", () => {
      const source = real();
      using image = openImage(mirror(source).path);
      for (const [index, sym] of [...source.symbols].entries()) {
        if (!isExported(sym)) continue;
        const text = source.strings.bytesAt(sym.st_name);
        const expected = typeOf(sym) === STT_TLS ? undefined : index;
        expect(image.findReferenced(text, source.versionOf(index))).toBe(expected);
        if (source.find(text) === index) expect(image.find(text)).toBe(expected);
        if (image.sysvHash) expect([...image.sysvHash.candidates(sysvHash(text))]).toContain(index);
      }
      expect(image.find("no such symbol")).toBeUndefined();
    });

    test("defines the same versions and needs nothing", () => {
      const source = real();
      using image = openImage(mirror(source).path);
      expect(image.soname).toBe(source.soname ?? "libmirror.so");
      expect(image.verdefs).toEqual(source.verdefs);
      expect(image.needed).toEqual([]);
      expect(image.dynamic.get(DT_VERNEED)).toBeUndefined();
      const known = new Set([0, 1, ...image.verdefs.map(({ index }) => index)]);
      for (const [index] of [...image.symbols].entries()) {
        const version = image.versym?.at(index) ?? 0;
        if (image.verdefs.length > 0) expect(known.has(version)).toBe(true);
        if (isExported(image.symbols.at(index))) expect(version).toBe(source.versym?.at(index) ?? 0);
      }
    });

    test("holds together: by our own check, by readelf and by elfinfo", async () => {
      const source = real();
      using image = openImage(mirror(source, { zeroPages: 3 }).path);
      checkFile(image.path);
      readelf(image.path, "-a");
      const shown = symbolsByReadelf(image.path);
      const own = Array.from(image.symbols, (sym) => ({
        value: sym.st_value as number,
        size: sym.st_size,
        section: sym.st_shndx === SHN_UNDEF ? "UND" : "ABS",
        name: image.symbols.nameOf(sym),
      }));
      // readelf shows no symbols where the hash table is empty
      const expected = image.gnuHash?.isEmpty && !image.sysvHash ? [] : own;
      expect(shown.map(({ value, size, section, name }) => ({ value, size, section, name }))).toEqual(expected);
      await expectSameByElfinfo(image);
    });
  });
}

describe("an override", () => {
  const source = loaded(specimens["symbol versions"] ?? "");
  const overridden = (
    name: string,
    place: NonNullable<MirrorOptions["overrides"]> extends ReadonlyMap<string, infer P> ? P : never,
  ) => {
    const { path, plan } = mirror(source, { overrides: new Map([[name, place]]), zeroPages: 1 });
    return { image: openImage(path), plan };
  };

  test("puts all versions of a function at an address", () => {
    const { image } = overridden("red", { address: toAddress(0x7f12_3456_7890) });
    using _ = image;
    for (const version of ["RED_1", "RED_2"]) {
      const sym = image.symbols.at(image.findReferenced("red", version) ?? 0);
      expect([sym.st_value as number, sym.st_shndx, typeOf(sym)]).toEqual([0x7f12_3456_7890, SHN_ABS, STT_FUNC]);
    }
    const blue = image.symbols.at(image.find("blue") ?? 0);
    expect(blue.st_value as number).toBe(source.addressOf(source.symbols.at(source.find("blue") ?? 0).st_value));
  });

  test("puts it into the mirror's own zero pages", () => {
    const { image, plan } = overridden("red", { zeroPageOffset: 32 });
    using _ = image;
    const sym = image.symbols.at(image.find("red") ?? 0);
    expect(sym.st_value as number).toBe(plan.zeroAt + 32);
    expect([SHN_ABS, SHN_UNDEF]).not.toContain(sym.st_shndx);
    expect(image.loads.some(({ p_vaddr, p_memsz }) => p_vaddr === plan.zeroAt && p_memsz === PAGE_SIZE)).toBe(true);
  });

  test("makes a plain function of an indirect one", () => {
    const { image } = overridden("indirect", { address: toAddress(0x1000) });
    using _ = image;
    expect(typeOf(image.symbols.at(image.find("indirect") ?? 0))).toBe(STT_FUNC);
  });

  test("of what the source does not export is passed over", () => {
    for (const name of ["no such function", "puts", "chosen"]) {
      const { image } = overridden(name, { address: toAddress(0x1000) });
      using _ = image;
      expect([...image.symbols].some(({ st_value }) => (st_value as number) === 0x1000)).toBe(false);
    }
  });
});

describe("the soname", () => {
  const source = loaded(specimens["symbol versions"] ?? "");

  test("may be another than the source's, which has all its strings still", () => {
    using image = openImage(mirror(source, { soname: "libżółw.so.1" }).path);
    expect(image.soname).toBe("libżółw.so.1");
    expect(image.findReferenced("red", "RED_2")).toBe(source.findReferenced("red", "RED_2"));
    checkFile(image.path);
    readelf(image.path, "-d");
  });

  test("of the source is not stored twice", () => {
    using image = openImage(mirror(source).path);
    expect(image.strings.size).toBe(source.strings.size);
  });
});

test("a mirror in a mirror's place is the same: it can be mirrored itself", () => {
  const source = loaded(loadedFile("libm.so.6"));
  const { bytes } = mirrorOf(source, { soname: "libm.so.6" });
  using image = openImage(scratch.write("mirror.so", bytes));
  const memory = {
    view: (address: number, length: number) => new DataView(bytes.buffer as ArrayBuffer, address, length),
  };
  const again = loadedImage("mirror.so", toAddress(0), toAddress(0), memory);
  expect(mirrorOf(again, { soname: "libm.so.6" }).bytes).toEqual(bytes);
  expect(image.soname).toBe("libm.so.6");
});

test("addresses beyond a multiple of 4 GiB are right in both halves", () => {
  const { bytes, at } = smallImage();
  // the image as it would lie in memory, its second segment 0x1000 further on than in the file
  const inMemory = new Uint8Array(bytes.length + 0x1000);
  inMemory.set(bytes.subarray(0, at("data")));
  inMemory.set(bytes.subarray(at("data")), at("data") + 0x1000);
  for (const bias of [0x7f00_ffff_f000, 0x7f00_ffff_fff0, 0x1_0000_0000, 0xffff_f000]) {
    const start = toAddress(bias);
    const view = (address: number, length: number) => new DataView(inMemory.buffer, length && address - start, length);
    const source = loadedImage("libsmall.so.1", start, start, { view });
    using image = openImage(mirror(source).path);
    for (const [index, sym] of [...source.symbols].entries())
      if (isExported(sym)) expect(image.symbols.at(index).st_value as number).toBe(bias + sym.st_value);
  }
});

describe("loaded by glibc into namespaces of their own", () => {
  test("mirrors show every name of every version where the original has it; what we place is found", async () => {
    const libraries = ["libc.so.6", "libm.so.6", ...(X11 ? ["libX11.so.6"] : []), specimens["symbol versions"] ?? ""];
    const child = [process.execPath, `${import.meta.dir}/load.ts`, scratch.path(""), ...libraries];
    const { stdout, stderr, exitCode, signal } = await runToEnd(child);
    expect({ stderr, exitCode, signal }).toEqual({ stderr: "", exitCode: 0, signal: null });
    const { mirrors, overrides, symbolObject } = JSON.parse(stdout) as Loaded;
    for (const library of libraries) expect(mirrors[library]).toMatchObject({ different: [], threadLocalShown: 0 });
    expect(mirrors["libc.so.6"]?.compared).toBeGreaterThan(3000);
    expect(mirrors["libc.so.6"]?.threadLocal).toBeGreaterThan(0);
    expect(mirrors["libc.so.6"]?.indirect).toBeGreaterThan(0);
    expect(mirrors["libm.so.6"]?.compared).toBeGreaterThan(500);
    expect(overrides).toEqual({
      address: true,
      zeroPage: true,
      sizeOfZeroPages: 2 * PAGE_SIZE,
      ownerOfZeroPages: true,
    });
    expect(symbolObject).toEqual({ address: true, anyVersion: true, zeroPage: true, unknown: true, dependency: true });
  });
});
