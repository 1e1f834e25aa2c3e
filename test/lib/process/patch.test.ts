import { beforeEach, describe, expect, test } from "bun:test";
import { addressOf, bytesAt, ownMemory, pointerAt, stringAt } from "../../../lib/memory/live.ts";
import type { Mapping } from "../../../lib/memory/maps.ts";
import { add, alignUp, PAGE_SIZE, toAddress, toOffset } from "../../../lib/memory/numbers.ts";
import { copy, Patch, PROT_EXEC, PROT_READ, PROT_WRITE, protectionOf } from "../../../lib/process/patch.ts";
import type { Linking, Process } from "../../../lib/process/process.ts";

// Two pages of our own heap, which really are writable; what they are said to be differs.
const heap = new Uint8Array(3 * PAGE_SIZE);
const first = alignUp(addressOf(heap), PAGE_SIZE);
const second = add(first, PAGE_SIZE);

const mapping = (start: number, permissions: string): Mapping => ({
  start: toAddress(start),
  end: toAddress(start + PAGE_SIZE),
  readable: permissions.includes("r"),
  writable: permissions.includes("w"),
  executable: permissions.includes("x"),
  shared: false,
  offset: toOffset(0),
  inode: 0,
  path: "",
});

const calls: [start: number, length: number, protection: number][] = [];
/** What mprotect returns. */
let refusal = 0;
const heapProcess: Process = {
  pid: process.pid,
  task: process.pid,
  memory: ownMemory,
  stringAt,
  write: (address, bytes) => bytesAt(address, bytes.length).set(bytes),
};

/** Makes the calls of a pass: they are noted down. */
function made<Result>(linking: Linking<Result>): Result {
  let step = linking.next();
  while (!step.done)
    step = linking.next(
      step.value.map(({ name, arguments: list }) => {
        expect(name).toBe("mprotect");
        calls.push(list as [number, number, number]);
        return refusal;
      }),
    );
  return step.value;
}

beforeEach(() => {
  heap.fill(0);
  calls.length = 0;
  refusal = 0;
});

describe("Patch.apply()", () => {
  test("writes to writable memory without touching its protection", () => {
    const patch = new Patch();
    patch.setPointer(add(first, 8), toAddress(0x7f00_1234_5678));
    expect(patch.length).toBe(1);
    expect(made(patch.apply(heapProcess, [mapping(first, "rw")]))).toBe(0);
    expect(pointerAt(add(first, 8))).toBe(toAddress(0x7f00_1234_5678));
    expect(pointerAt(first)).toBe(toAddress(0));
    expect(calls).toEqual([]);
  });

  test("writes nothing where the kernel refuses", () => {
    refusal = -1;
    const patch = new Patch();
    patch.setPointer(first, toAddress(1));
    expect(() => made(patch.apply(heapProcess, [mapping(first, "r")]))).toThrow("Cannot change the protection");
    expect(pointerAt(first)).toBe(toAddress(0));
  });

  test("opens read-only pages once for all writes, and gives back what they were", () => {
    const patch = new Patch();
    patch.setPointer(add(first, 16), toAddress(1));
    patch.setPointer(add(first, 4000), toAddress(2));
    expect(made(patch.apply(heapProcess, [mapping(first, "r")]))).toBe(1);
    expect(calls).toEqual([
      [first, PAGE_SIZE, PROT_READ | PROT_WRITE],
      [first, PAGE_SIZE, PROT_READ],
    ]);
    expect(pointerAt(add(first, 4000))).toBe(toAddress(2));
  });

  test("never makes a page writable and executable at once", () => {
    const patch = new Patch();
    patch.set(first, new Uint8Array([0x90]));
    made(patch.apply(heapProcess, [mapping(first, "rx")]));
    expect(calls.map(([, , protection]) => protection)).toEqual([PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC]);
  });

  test("writes nothing at all where one address is not mapped", () => {
    const patch = new Patch();
    patch.setPointer(first, toAddress(1));
    patch.setPointer(second, toAddress(2));
    expect(() => made(patch.apply(heapProcess, [mapping(first, "r")]))).toThrow("not all mapped");
    expect(calls).toEqual([]);
    expect(pointerAt(first)).toBe(toAddress(0));
  });

  test("refuses a write that reaches beyond what is mapped", () => {
    const patch = new Patch();
    patch.setPointer(add(second, -4), toAddress(-1 >>> 0));
    expect(() => made(patch.apply(heapProcess, [mapping(first, "rw")]))).toThrow("not all mapped");
    expect(heap.every((byte) => byte === 0)).toBe(true);
  });

  test("writes across the border of two mappings", () => {
    const patch = new Patch();
    patch.setPointer(add(second, -4), toAddress(0x1234_5678_9abc));
    expect(made(patch.apply(heapProcess, [mapping(first, "rw"), mapping(second, "r")]))).toBe(1);
    expect(pointerAt(add(second, -4))).toBe(toAddress(0x1234_5678_9abc));
  });

  test("leaves pages executable that code was put into, and never writable as well", () => {
    const patch = new Patch();
    patch.install(Uint8Array.of(0xc3), first);
    expect(made(patch.apply(heapProcess, [mapping(first, "rw")]))).toBe(0);
    expect(calls).toEqual([[first, PAGE_SIZE, PROT_READ | PROT_EXEC]]);
    expect(heap[first - addressOf(heap)]).toBe(0xc3);
  });

  test("opens a window for each mapping", () => {
    const patch = new Patch();
    patch.setPointer(second, toAddress(2));
    patch.setPointer(first, toAddress(1));
    expect(made(patch.apply(heapProcess, [mapping(first, "r"), mapping(second, "r")]))).toBe(2);
    expect(calls).toHaveLength(4);
  });
});

test("protectionOf() has a bit for each permission", () => {
  expect(protectionOf(mapping(0, "rwx"))).toBe(PROT_READ | PROT_WRITE | PROT_EXEC);
  expect(protectionOf(mapping(0, ""))).toBe(0);
});

test("copy() moves bytes from one place to another", () => {
  heap.set([1, 2, 3], 0);
  const from = addressOf(heap);
  copy(heapProcess, from, add(from, 100), 3);
  expect([...heap.subarray(99, 104)]).toEqual([0, 1, 2, 3, 0]);
});
