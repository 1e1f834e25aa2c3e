// A placeholder that shows its library, in images that no loader has seen.

import { afterAll, expect, test } from "bun:test";
import { openImage } from "../../../lib/elf/file.ts";
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

test("a filled placeholder shows its library's functions and objects, hooks in their place, and what moved", () => {
  const there = loaded(library, toAddress(0x10_0000));
  const { object: placeholder, mappings } = loaded(own, toAddress(0x20_0000));
  const { image } = placeholder;
  const indexes = ["blue", "table"].map((name) => image.find(name) ?? 0);
  const before = indexes.map((index) => image.symbolAddress(index));
  const [patch, moved] = [new Patch(), new Map<number, Address>()];
  expect(isFilled(placeholder, NOTHING)).toBe(false);
  const given = { nothing: NOTHING, hooks: new Map([["blue", HOOK]]) };
  resultOf(fill(placeholder, there.object, given, patch, moved));
  resultOf(patch.apply(placeholder.process, mappings));
  expect(isFilled(placeholder, NOTHING)).toBe(true);
  const table = there.object.image.symbolAddress(there.object.image.find("table") ?? 0);
  expect(indexes.map((index) => image.symbolAddress(index))).toEqual([HOOK, table]);
  expect(before.map((address) => moved.get(address))).toEqual([HOOK, table]);
});

test("a placeholder that was made from another file is refused, and nothing is to be written", () => {
  // A placeholder has one symbol more than its library: this one has two more than the first.
  const another = placeholderFile(own, "another");
  const there = loaded(another, toAddress(0x10_0000));
  const placeholder = loaded(own, toAddress(0x20_0000));
  const [patch, moved] = [new Patch(), new Map<number, Address>()];
  const pass = fill(placeholder.object, there.object, { nothing: NOTHING, hooks: new Map() }, patch, moved);
  const message = `Cannot link "${own}": it was made from another "${another}"`;
  expect(() => resultOf(pass)).toThrow(new LinkError(message, { object: own }));
  expect([patch.length, moved.size]).toEqual([0, 0]);
});

test("what has no slot for its initializer's function is no placeholder", () => {
  const [DT_RELA, DT_RELASZ] = [7, 8];
  const slotless = scratch.write("slotless", withoutDynamic(DT_RELA, DT_RELASZ));
  const { object } = loaded(slotless, toAddress(0x20_0000));
  expect(isFilled(object, NOTHING)).toBe(false);
  const there = loaded(library, toAddress(0x10_0000));
  const pass = fill(object, there.object, { nothing: NOTHING, hooks: new Map() }, new Patch(), new Map());
  expect(() => resultOf(pass)).toThrow("it was made from another");
});
