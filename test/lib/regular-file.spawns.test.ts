// The door to files of others: what comes through it, and how much.

import { afterAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, readlinkSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { LinkError } from "../../lib/link-error.ts";
import { NotRegularError, RegularFile, readBeginning, readWhole } from "../../lib/regular-file.ts";
import { unlessRefused } from "../../lib/unless.ts";
import { run, Scratch } from "./elf/scratch.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());
const KIND = { name: "a list", most: 10 };

describe("no other than a file is opened for reading", () => {
  const fifo = scratch.path("fifo");
  run(["mkfifo", fifo]);
  symlinkSync("/dev/zero", scratch.path("device"));

  test.each([
    ["a FIFO that nobody writes to", fifo, "ENXIO"],
    ["a device without an end", scratch.path("device"), "ENXIO"],
    ["a directory", scratch.directory, "EISDIR"],
  ] as const)("%s", (_, path, code) => {
    for (const read of [() => readWhole(path, KIND), () => readBeginning(path, 10), () => new RegularFile(path)]) {
      expect(read).toThrow(NotRegularError);
      expect(read).toThrow(expect.objectContaining({ code, path, syscall: "open" }));
      expect(unlessRefused<unknown>(read)).toBeUndefined();
    }
    const open = readdirSync("/proc/self/fd").map((name) => unlessRefused(() => readlinkSync(`/proc/self/fd/${name}`)));
    expect(open).not.toContain(path);
  });
});

describe("of a file is read", () => {
  const path = scratch.write("ten", "0123456789");
  test("all, if its kind needs so much", () => expect(`${readWhole(path, KIND)}`).toBe("0123456789"));

  test("nothing, if it has more", () => {
    const large = scratch.write("large", "");
    truncateSync(large, 3 * 2 ** 40);
    const read = () => readWhole(large, KIND);
    expect(read).toThrow(LinkError);
    expect(read).toThrow(`Cannot read "${large}": it has ${3 * 2 ** 40} bytes, and a list needs 10 at most`);
  });

  test("its beginning", () => {
    expect([4, 10, 99].map((length) => `${readBeginning(path, length)}`)).toEqual(["0123", "0123456789", "0123456789"]);
  });

  test("what one of /proc has, which tells no size", () => {
    expect(readBeginning("/proc/self/stat", 4096).toString().split(" ")[0]).toBe(`${process.pid}`);
    expect(`${readBeginning("/proc/version", 1 << 20)}`).toBe(readFileSync("/proc/version", "utf8"));
  });

  test("what is left, if it becomes shorter meanwhile", () => {
    const shrinking = scratch.write("shrinking", "0123456789");
    using file = new RegularFile(shrinking);
    writeFileSync(shrinking, "01");
    expect(`${file.whole(KIND)}`).toBe("01");
  });
});
