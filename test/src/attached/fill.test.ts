// A placeholder that shows its library, in images that no loader has seen.

import { afterAll, describe, expect, test } from "bun:test";
import { openImage } from "../../../lib/elf/file.ts";
import { Sym } from "../../../lib/elf/sym.ts";
import { placeholderOf } from "../../../lib/elf/write/placeholder.ts";
import { LinkError } from "../../../lib/link-error.ts";
import type { LoadedObject } from "../../../lib/loader/link-map.ts";
import type { Mapping } from "../../../lib/memory/maps.ts";
import { type Address, add, toAddress, toOffset } from "../../../lib/memory/numbers.ts";
import { Patch } from "../../../lib/process/patch.ts";
import type { Linking, Process } from "../../../lib/process/process.ts";
import { fill, isFilled } from "../../../src/attached/fill.ts";
import { inMemory } from "../../lib/elf/in-memory.ts";
import { Scratch } from "../../lib/elf/scratch.ts";
import { smallImage, withoutDynamic } from "../../lib/elf/small-image.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

const NOTHING = toAddress(0x7000_0000_0000);
/** A function of the agent, in place of the library's own. */
const HOOK = toAddress(0x7000_0000_1000);

function placeholderFile(path: string, name: string): string {
  using source = openImage(path);
  const options = { soname: "libsmall.so.1", needed: [], agent: "libagent.so", attach: "attach", owner: "test" };
  return scratch.write(name, placeholderOf(source, { ...options, status: 125 }));
}

/** A file as it lies in memory. */
function loaded(path: string, loadBias: Address): { readonly object: LoadedObject; readonly mappings: Mapping[] } {
  const { image, memory, content } = inMemory(path, loadBias);
  const write = (at: Address, bytes: Uint8Array) => content.set(bytes, at - loadBias);
  const process = { memory, write, pid: 1, task: 1 } as unknown as Process;
  const access = { readable: true, writable: true, executable: false, shared: false };
  const end = add(loadBias, content.length);
  const mapping = { ...access, start: loadBias, end, offset: toOffset(0), inode: 0, path };
  return { object: { process, image, path, linkMap: loadBias } as unknown as LoadedObject, mappings: [mapping] };
}

/** Of a pass that makes no calls. */
function resultOf<Result>(pass: Linking<Result>): Result {
  const { done, value } = pass.next();
  if (!done) throw new Error("The pass makes a call");
  return value;
}

const library = scratch.write("libsmall.so.1", smallImage().bytes);
const own = placeholderFile(library, "own");

/** Has a placeholder show a library, both in memory. */
function filled(placeholderFile: string, libraryFile: string, hooks: ReadonlyMap<string, Address> = new Map()) {
  const there = loaded(libraryFile, toAddress(0x10_0000)).object;
  const { object: placeholder, mappings } = loaded(placeholderFile, toAddress(0x20_0000));
  const { image } = placeholder;
  const indexes = ["blue", "table"].map((name) => image.find(name) ?? 0);
  const before = indexes.map((index) => image.symbolAddress(index));
  const [patch, moved, lost] = [new Patch(), new Map<number, Address>(), new Map<number, string>()];
  expect(isFilled(placeholder, NOTHING)).toBe(false);
  const isSame = resultOf(fill(placeholder, there, { nothing: NOTHING, hooks }, patch, { moved, lost }));
  resultOf(patch.apply(placeholder.process, mappings));
  expect(isFilled(placeholder, NOTHING)).toBe(true);
  const addressIn = (object: LoadedObject, name: string) => {
    const index = object.image.find(name);
    return index === undefined ? undefined : object.image.symbolAddress(index);
  };
  return {
    isSame,
    before,
    lost,
    moved: before.map((address) => moved.get(address)),
    /** Where the placeholder, or the library, has them now: blue, table. */
    shown: ["blue", "table"].map((name) => addressIn(placeholder, name)),
    real: ["blue", "table"].map((name) => addressIn(there, name)),
  };
}

test("a filled placeholder shows its library's functions and objects, hooks in their place, and what moved", () => {
  const { isSame, shown, moved, lost, real } = filled(own, library, new Map([["blue", HOOK]]));
  expect(shown).toEqual([HOOK, real[1]]);
  expect(moved).toEqual([HOOK, real[1]]);
  expect([isSame, lost.size]).toEqual([true, 0]);
});

describe("a placeholder whose library has been replaced", () => {
  const { bytes, at } = smallImage();
  /** The file with changes; it is as long as before. */
  const replaced = (name: string, change: (bytes: Uint8Array) => void): string => {
    const copy = bytes.slice();
    change(copy);
    return scratch.write(name, copy);
  };
  const swap = (bytes: Uint8Array, one: number, other: number, size: number) => {
    const first = bytes.slice(one, one + size);
    bytes.copyWithin(one, other, other + size);
    bytes.set(first, other);
  };
  const [RED, BLUE] = [3, 4];
  /** "blue" and "red@@V2" change places, in each table that goes by them. */
  const another = replaced("reordered", (bytes) => {
    swap(bytes, at("dynsym") + RED * Sym.size, at("dynsym") + BLUE * Sym.size, Sym.size);
    swap(bytes, at("versym") + RED * 2, at("versym") + BLUE * 2, 2);
    const CHAIN = 28; // behind header, filter and bucket
    swap(bytes, at("gnu-hash") + CHAIN + (RED - 2) * 4, at("gnu-hash") + CHAIN + (BLUE - 2) * 4, 4);
  });

  test("by one of the same size, with the same symbols elsewhere, shows each by its name", () => {
    const { isSame, shown, moved, lost, real } = filled(own, another);
    expect(isSame).toBe(false);
    expect(shown).toEqual(real);
    expect(moved).toEqual(real);
    expect(lost.size).toBe(0);
  });

  test("by one whose names are elsewhere keeps its own", () => {
    const PUTS = 1;
    const renamed = replaced("renamed", (bytes) => {
      swap(bytes, at("dynsym") + PUTS * Sym.size, at("dynsym") + BLUE * Sym.size, 4); // st_name
      const texts = Buffer.from(bytes.buffer);
      swap(bytes, texts.indexOf("puts"), texts.indexOf("blue"), 4);
    });
    const { isSame, shown, real, lost } = filled(own, renamed);
    expect([isSame, lost.size]).toEqual([false, 0]);
    expect(real).not.toContain(undefined);
    expect(shown).toEqual(real);
  });

  test("by one that lacks a symbol does not have it any more, and tells who has bound to it", () => {
    const lacking = replaced("lacking", (bytes) => {
      const name = Buffer.from(bytes.buffer).indexOf("blue");
      bytes.set(Buffer.from("blux"), name);
    });
    const { isSame, before, shown, lost, real } = filled(own, lacking);
    expect(isSame).toBe(false);
    expect(real[0]).toBeUndefined();
    expect(shown).toEqual(real);
    expect([...lost]).toEqual([[before[0] as number, "blue"]]);
  });

  test("by one that has two functions where there was one tells who has bound to it", () => {
    const VALUE = 8;
    const alike = replaced("alike", (bytes) => {
      bytes[at("dynsym") + BLUE * Sym.size + VALUE] = 0x20; // as red@@V2
    });
    const { isSame, before, lost } = filled(placeholderFile(alike, "of-alike"), library);
    expect(isSame).toBe(true);
    expect([...lost]).toEqual([[before[0] as number, "blue"]]);
  });

  test("is noticed whatever has changed: a name, a version, what is defined, how many symbols there are", () => {
    const changes: Record<string, (bytes: Uint8Array) => void> = {
      name: (bytes) => bytes.set(Buffer.from("blux"), Buffer.from(bytes.buffer).indexOf("blue")),
      version: (bytes) => bytes.set([3], at("versym") + BLUE * 2),
      versions: (bytes) => bytes.set(Buffer.from("V3"), Buffer.from(bytes.buffer).indexOf("V2")),
      definition: (bytes) => bytes.set([0, 0], at("dynsym") + BLUE * Sym.size + 6),
      absolute: (bytes) => bytes.set([0xf1, 0xff], at("dynsym") + BLUE * Sym.size + 6),
    };
    for (const [name, change] of Object.entries(changes))
      expect([name, filled(own, replaced(name, change)).isSame]).toEqual([name, false]);
    // A placeholder has one symbol more than its library: this one has two more than the first.
    expect(filled(own, placeholderFile(own, "larger")).isSame).toBe(false);
  });
});

test("what has no slot for its initializer's function is no placeholder", () => {
  const [DT_RELA, DT_RELASZ] = [7, 8];
  const slotless = scratch.write("slotless", withoutDynamic(DT_RELA, DT_RELASZ));
  const { object } = loaded(slotless, toAddress(0x20_0000));
  expect(isFilled(object, NOTHING)).toBe(false);
  const there = loaded(library, toAddress(0x10_0000));
  const [patch, places] = [new Patch(), { moved: new Map(), lost: new Map() }];
  const pass = fill(object, there.object, { nothing: NOTHING, hooks: new Map() }, patch, places);
  expect(() => resultOf(pass)).toThrow(
    new LinkError(`Cannot link "${slotless}": it is no placeholder`, { object: slotless }),
  );
  expect([patch.length, places.moved.size]).toEqual([0, 0]);
});
