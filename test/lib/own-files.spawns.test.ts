// Files and directories of our own: whole, of one mode, and nobody else's.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, linkSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { makeDirectories, makeDirectory, makeFreshDirectory, readOwn, writeWhole } from "../../lib/own-files.ts";
import { repository } from "../support/run.ts";
import { run, Scratch } from "./elf/scratch.ts";

let scratch: Scratch;
beforeEach(() => {
  scratch = new Scratch();
});
afterEach(() => scratch[Symbol.dispose]());

const modeOf = (path: string): number => statSync(path).mode & 0o7777;

/** What is done under each umask that would change a mode. */
function underUmasks(action: (umask: number) => void): void {
  for (const umask of [0, 0o022, 0o777]) {
    const before = process.umask(umask);
    try {
      action(umask);
    } finally {
      process.umask(before);
    }
  }
}

describe("a file that is written", () => {
  test("has this mode, whatever the umask", () => {
    underUmasks((umask) => {
      expect(modeOf(writeWhole(scratch.path(`file-${umask}`), "text"))).toBe(0o600);
      expect(modeOf(writeWhole(scratch.path(`program-${umask}`), "text", { mode: 0o700 }))).toBe(0o700);
    });
  });

  test("is another file than the one before: who has that mapped keeps it", () => {
    const path = scratch.write("file", "before");
    linkSync(path, scratch.path("mapped"));
    writeWhole(path, Uint8Array.of(1, 2));
    expect([...readFileSync(path)]).toEqual([1, 2]);
    expect(readFileSync(scratch.path("mapped"), "utf8")).toBe("before");
  });

  test("may have any name that fits a file system", () => {
    const name = "n".repeat(255);
    expect(readFileSync(writeWhole(scratch.path(name), "text"), "utf8")).toBe("text");
  });

  test("takes the place of a link, a FIFO or a dangling link, and of nothing that these lead to", () => {
    const other = scratch.write("other", "other");
    symlinkSync(other, scratch.path("link"));
    symlinkSync("/nowhere/at/all", scratch.path("dangling"));
    run(["mkfifo", scratch.path("fifo")]);
    for (const name of ["link", "dangling", "fifo"]) {
      writeWhole(scratch.path(name), name);
      expect(readFileSync(scratch.path(name), "utf8")).toBe(name);
    }
    expect(readFileSync(other, "utf8")).toBe("other");
  });

  test("stays as it was if it cannot be written, and nothing is left beside it", () => {
    mkdirSync(scratch.path("directory"));
    expect(() => writeWhole(scratch.path("directory"), "text")).toThrow("EISDIR");
    expect(readdirSync(scratch.directory)).toEqual(["directory"]);
    expect(() => writeWhole(scratch.path("no/such/file"), "text")).toThrow("ENOENT");
  });

  test("stays as it was if only half of the new one has room", () => {
    const path = scratch.write("file", "before");
    const script = `import { writeWhole } from "${join(repository, "lib/own-files.ts")}";
      try { writeWhole(${JSON.stringify(path)}, "x".repeat(100_000)); } catch ({ code }) { console.log(code); }`;
    // Bun ignores SIGXFSZ; prlimit is util-linux's.
    expect(run(["prlimit", "--fsize=8192", process.execPath, "-e", script]).trim()).toBe("EFBIG");
    expect(readFileSync(path, "utf8")).toBe("before");
    expect(readdirSync(scratch.directory)).toEqual(["file"]);
  });
});

describe("a directory that is made", () => {
  test("has mode 0700, as those above it that were missing, whatever the umask", () => {
    underUmasks((umask) => {
      const top = scratch.path(`top-${umask}`);
      makeDirectories(join(top, "below", "it"));
      expect([top, join(top, "below"), join(top, "below", "it")].map(modeOf)).toEqual([0o700, 0o700, 0o700]);
      expect(modeOf(makeFreshDirectory(`${top}-`))).toBe(0o700);
    });
  });

  test("is left as it is where it is there", () => {
    chmodSync(scratch.directory, 0o755);
    for (const make of [makeDirectory, makeDirectories]) make(scratch.directory);
    expect(modeOf(scratch.directory)).toBe(0o755);
  });

  test("is not made below a file, nor by itself below what is gone", () => {
    const below = join(scratch.write("file", ""), "below");
    for (const make of [makeDirectory, makeDirectories]) expect(() => make(below)).toThrow("ENOTDIR");
    expect(() => makeDirectory(scratch.path("gone/below"))).toThrow("ENOENT");
  });
});

describe("what is read as our own", () => {
  test("is a file of this user's, also by a link", () => {
    const path = scratch.write("file", "text");
    symlinkSync(path, scratch.path("link"));
    expect([path, scratch.path("link")].map((one) => readOwn(one)?.toString())).toEqual(["text", "text"]);
  });

  test("is not a directory, a FIFO, a device, or missing", () => {
    run(["mkfifo", scratch.path("fifo")]);
    symlinkSync("/dev/zero", scratch.path("zero"));
    for (const path of [".", "fifo", "zero", "missing"]) expect(readOwn(scratch.path(path))).toBeUndefined();
  });

  test("is not what others may have written", () => {
    const path = scratch.write("file", "text");
    chmodSync(path, 0o620);
    expect(readOwn(path)).toBeUndefined();
  });

  test.skipIf(process.getuid?.() !== 0)("is not somebody else's (takes root)", () => {
    const path = scratch.write("file", "text");
    chownSync(path, 4711, 4711);
    expect(readOwn(path)).toBeUndefined();
  });
});
