// Images in live memory: against their own files, and against what ld.so itself
// finds in them.

import { dlopen } from "bun:ffi";
import { afterAll, describe, expect, test } from "bun:test";
import { realpathSync } from "node:fs";
import { DT_HASH, ET_EXEC, SHN_ABS, STT_GNU_IFUNC, STT_TLS } from "../../../lib/elf/constants.ts";
import { openImage } from "../../../lib/elf/file.ts";
import { type LoadedImage, loadedImage } from "../../../lib/elf/loaded.ts";
import { isExported, typeOf } from "../../../lib/elf/sym.ts";
import { addressOf, cString, type Memory, ownMemory } from "../../../lib/memory/live.ts";
import { readMaps } from "../../../lib/memory/maps.ts";
import { type Address, add, alignUp, PAGE_SIZE, toAddress, toVaddr } from "../../../lib/memory/numbers.ts";
import { faultOf, word, xword } from "./bytes.ts";
import { everything } from "./everything.ts";
import { Scratch } from "./scratch.ts";
import { changed, smallImage } from "./small-image.ts";
import { loadedFile } from "./specimens.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

/** An image that ld.so has mapped from a file, through `memory`. */
function loaded(path: string, memory?: Memory): LoadedImage {
  const mapping = readMaps().find((mapping) => mapping.path === path && mapping.offset === 0);
  if (!mapping) throw new Error(`Cannot find "${path}" in memory`);
  using file = openImage(path);
  return loadedImage(path, mapping.start, toAddress(mapping.start - (file.loads[0]?.p_vaddr ?? 0)), memory);
}

const program = realpathSync(process.execPath);
const images = {
  "libc.so.6": loadedFile("libc.so.6"),
  "libm.so.6": loadedFile("libm.so.6"),
  "ld-linux-x86-64.so.2": loadedFile("ld-linux-x86-64.so.2"),
  "the program itself": program,
};

describe.each(Object.entries(images))("%s in memory", (_, path) => {
  test("says what its file says", () => {
    using file = openImage(path);
    const image = loaded(path);
    const inMemory = everything(image);
    expect(inMemory.symbols.length).toBeGreaterThan(20);
    expect(inMemory.lookups.some((lookup) => lookup?.byDefault !== undefined)).toBe(true);
    expect(inMemory).toEqual(everything(file));
  });

  test("holds the addresses of its segments, and none beside them", () => {
    const image = loaded(path);
    const first = image.loads[0]?.p_vaddr ?? toVaddr(0);
    for (const vaddr of [first, toVaddr(image.end - 1)]) {
      expect(image.holds(image.addressOf(vaddr))).toBe(true);
      expect(image.vaddrAt(image.addressOf(vaddr))).toBe(vaddr);
      expect(image.bytes.view(vaddr, 1, "byte").byteLength).toBe(1);
    }
    expect(image.holds(image.addressOf(image.end))).toBe(false);
    const beyond = alignUp(image.end, PAGE_SIZE);
    expect(faultOf(() => image.bytes.view(beyond, 1, "byte")).fault).toContain("in no segment");
    expect(image.holds(image.addressOf(first) - 1)).toBe(false);
  });

  test("asks for its tables, not for its segments", () => {
    let most = 0;
    const image = loaded(path, {
      view(address, length) {
        most = Math.max(most, length);
        return ownMemory.view(address, length);
      },
    });
    everything(image);
    expect(most).toBeLessThan(100_000);
  });

  test("can be read from copies, as another process's memory is", () => {
    const copies: Memory = {
      view: (address, length) => {
        const { buffer, byteOffset, byteLength } = ownMemory.view(address, length);
        return new DataView(buffer.slice(byteOffset, byteOffset + byteLength));
      },
    };
    expect(everything(loaded(path, copies))).toEqual(everything(loaded(path)));
  });
});

test("the program is linked to a fixed address, where vaddrs and addresses are the same", () => {
  const image = loaded(program);
  expect(image.ehdr.e_type).toBe(ET_EXEC);
  expect(image.loadBias).toBe(toAddress(0));
  expect(image.addressOf(toVaddr(0x200000))).toBe(toAddress(0x200000));
});

const [vdso] = readMaps().filter(({ path }) => path === "[vdso]");
test.skipIf(!vdso)(
  `the vDSO, whose dynamic section nobody relocates${vdso ? "" : " (the kernel gives us none)"}`,
  () => {
    const start = vdso?.start ?? toAddress(0);
    const image = loadedImage("[vdso]", start, start);
    expect(image.soname).toBe("linux-vdso.so.1");
    expect(image.needed).toEqual([]);
    const index = image.findReferenced("__vdso_clock_gettime", "LINUX_2.6");
    expect(index).toBeDefined();
    expect(image.versionOf(index ?? 0)).toBe("LINUX_2.6");
    expect(everything(image).symbols.length).toBe(image.symbols.length);
  },
);

describe("ld.so", () => {
  const { symbols: libdl } = dlopen("libc.so.6", {
    dlopen: { args: ["ptr", "i32"], returns: "ptr" },
    dlsym: { args: ["ptr", "ptr"], returns: "ptr" },
    dlvsym: { args: ["ptr", "ptr", "ptr"], returns: "ptr" },
  });
  type Found = ReturnType<typeof libdl.dlsym>;
  const RTLD_NOW = 2;
  const RTLD_NOLOAD = 4;

  test.each(["libc.so.6", "libm.so.6"])("finds every symbol of %s where we find it", (soname) => {
    const image = loaded(loadedFile(soname));
    const handle = libdl.dlopen(cString(soname), RTLD_NOW | RTLD_NOLOAD);
    expect(handle).not.toBeNull();
    const { symbols } = image;
    let compared = 0;
    const compare = (name: string, version: string | undefined, theirs: Found, ours: number | undefined) => {
      const sym = ours === undefined ? undefined : symbols.at(ours);
      // What is found for these is chosen by a resolver, or differs from thread to thread, or is no address.
      if (sym && ([STT_GNU_IFUNC, STT_TLS].includes(typeOf(sym)) || sym.st_shndx === SHN_ABS)) return;
      const address = theirs === null ? undefined : toAddress(Number(theirs));
      expect([name, version, address]).toEqual([name, version, sym && image.addressOf(sym.st_value)]);
      compared++;
    };
    for (const [index, sym] of [...symbols].entries()) {
      if (!isExported(sym)) continue;
      const name = symbols.nameOf(sym);
      const version = image.versionOf(index);
      compare(name, undefined, libdl.dlsym(handle, cString(name)), image.find(name));
      if (version === undefined) continue;
      compare(
        name,
        version,
        libdl.dlvsym(handle, cString(name), cString(version)),
        image.findReferenced(name, version),
      );
    }
    expect(compared).toBeGreaterThan(500);
  });

  test("finds no symbol in a version that we do not find", () => {
    const image = loaded(loadedFile("libc.so.6"));
    const handle = libdl.dlopen(cString("libc.so.6"), RTLD_NOW | RTLD_NOLOAD);
    for (const [name, version] of [
      ["memcpy", "GLIBC_2.3"],
      ["printf", "GLIBC_9"],
      ["no_such_thing", "GLIBC_2.2.5"],
    ] as const) {
      expect(libdl.dlvsym(handle, cString(name), cString(version))).toBeNull();
      expect(image.findReferenced(name, version)).toBeUndefined();
    }
  });
});

describe("loadedImage()", () => {
  const small = smallImage();
  const heap = new Uint8Array(16 * PAGE_SIZE);
  const start = alignUp(addressOf(heap), PAGE_SIZE);
  const page = heap.subarray(start - addressOf(heap));
  const DYNAMIC_POINTERS = [4, 5, 6, 7, 23, 36, 0x6ffffef5, 0x6ffffff0, 0x6ffffffc, 0x6ffffffe];

  /** Puts the small image into memory, its segments where they belong. */
  function mapped(bytes = small.bytes): Address {
    heap.fill(0);
    page.set(bytes.subarray(0, small.at("data")));
    page.set(bytes.subarray(small.at("data")), small.at("data") + 0x1000);
    return start;
  }

  test("reads pointers that are absolute, and pointers that are as they were linked", () => {
    using file = openImage(scratch.write("libsmall.so.1", small.bytes));
    const fromFile = everything(file);
    mapped();
    expect(everything(loadedImage(file.path, start, start))).toEqual(fromFile);

    const view = new DataView(page.buffer, page.byteOffset);
    const dynamic = small.at("dynamic") + 0x1000;
    for (let at = dynamic; at < dynamic + small.at("end") - small.at("dynamic"); at += 16)
      if (DYNAMIC_POINTERS.includes(view.getUint32(at, true)))
        view.setBigUint64(at + 8, view.getBigUint64(at + 8, true) + BigInt(start), true);
    const image = loadedImage(file.path, start, start);
    expect(everything(image)).toEqual(fromFile);
    expect(image.dynamic.get(5)).toBe(start + small.at("dynstr"));
  });

  test("throws where there is no ELF header", () => {
    heap.fill(0);
    expect(faultOf(() => loadedImage("libsmall.so.1", start, start))).toMatchObject({
      path: "libsmall.so.1",
      structure: "ELF header",
    });
  });

  test("throws where the program headers are not in the first page, without looking for them", () => {
    for (const offset of [PAGE_SIZE, PAGE_SIZE - 200, 2 ** 47, -1]) {
      mapped(changed(32, xword(offset))); // e_phoff
      expect(faultOf(() => loadedImage("libsmall.so.1", start, start)).structure).toBe("program headers");
    }
  });

  test("throws for tables outside the segments, without touching them", () => {
    mapped();
    const view = new DataView(page.buffer, page.byteOffset);
    const dynamic = small.at("dynamic") + 0x1000;
    const outside = [add(start, 0x100000), toAddress(8), toAddress(0x7fff_ffff_f000)];
    for (const address of outside)
      for (let at = dynamic; at < dynamic + small.at("end") - small.at("dynamic"); at += 16) {
        const tag = view.getUint32(at, true);
        // DT_HASH does not count beside a DT_GNU_HASH
        if (!DYNAMIC_POINTERS.includes(tag) || tag === DT_HASH) continue;
        const before = view.getBigUint64(at + 8, true);
        // 8 is the vaddr of the ELF header: that one can be read, and is nonsense
        view.setBigUint64(at + 8, BigInt(address === 8 ? 0x900000 : address), true);
        const { structure } = faultOf(() => everything(loadedImage("libsmall.so.1", start, start)));
        expect(structure).not.toBe("ELF header");
        view.setBigUint64(at + 8, before, true);
      }
    expect(everything(loadedImage("libsmall.so.1", start, start)).soname).toBe("libsmall.so.1");
  });

  test("counts p_memsz, not p_filesz: memory has what the file has not", () => {
    mapped(changed(small.at("phdrs") + 32, xword(0x10))); // the first PT_LOAD's p_filesz
    expect(loadedImage("libsmall.so.1", start, start).soname).toBe("libsmall.so.1");
  });

  test("throws for an image without PT_DYNAMIC", () => {
    mapped(changed(small.at("phdrs") + 2 * 56, word(0)));
    expect(faultOf(() => loadedImage("libsmall.so.1", start, start)).fault).toContain("PT_DYNAMIC");
  });
});
