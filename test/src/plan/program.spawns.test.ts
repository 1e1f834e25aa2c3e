// Which program is run, and whether it can be hosted.

import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, realpathSync, symlinkSync } from "node:fs";
import { join, relative } from "node:path";
import { LibraryStore } from "../../../lib/tree/library-store.ts";
import { EXIT, ProgramError } from "../../../src/diagnostics/errors.ts";
import { findProgram, readProgram } from "../../../src/plan/program.ts";
import { Scratch } from "../../lib/elf/scratch.ts";
import { library } from "../../lib/tree/small-tree.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());
const root = realpathSync(scratch.directory);

function file(path: string, mode: number, content: Uint8Array | string = "#!/bin/sh\n"): string {
  mkdirSync(join(root, path, ".."), { recursive: true });
  scratch.write(path, content);
  chmodSync(join(root, path), mode);
  return join(root, path);
}

function errorOf(action: () => unknown): ProgramError {
  try {
    action();
  } catch (error) {
    if (error instanceof ProgramError) return error;
    throw error;
  }
  throw new Error("A ProgramError was expected, and nothing was thrown");
}

describe("findProgram()", () => {
  const first = file("first/game", 0o755);
  const second = file("second/game", 0o755);
  file("plain/game", 0o644);
  mkdirSync(join(root, "directory/game"), { recursive: true });
  symlinkSync("../second/game", join(root, "first/link"));
  symlinkSync("loop", join(root, "first/loop"));
  const path = (...directories: string[]) => directories.map((directory) => join(root, directory)).join(":");

  test("takes a path as it is, and gives it without links", () => {
    expect(findProgram(first, "")).toBe(first);
    expect(findProgram(join(root, "first/link"), "")).toBe(second);
    const near = relative(process.cwd(), first);
    expect(findProgram(near.includes("/") ? near : `./${near}`, "")).toBe(first);
  });

  test("looks for a name in PATH, from left to right", () => {
    expect(findProgram("game", path("first", "second"))).toBe(first);
    expect(findProgram("game", path("no", "second", "first"))).toBe(second);
    expect(findProgram("link", path("first"))).toBe(second);
  });

  test("passes over what cannot be run, as a shell does", () => {
    expect(findProgram("game", path("plain", "directory", "second"))).toBe(second);
  });

  test("takes an empty element of PATH for the current directory", () => {
    expect(errorOf(() => findProgram("no-such-game", "::")).exitCode).toBe(EXIT.notFound);
  });

  test("says 127 for what is not there, 126 for what cannot be run, and why", () => {
    const cases: [string, string, number, string][] = [
      ["game", path("no"), EXIT.notFound, 'Cannot run "game": no directory in PATH has it'],
      ["game", path("no", "plain"), EXIT.notRunnable, `Cannot run "${root}/plain/game": permission denied`],
      ["game", path("directory", "plain"), EXIT.notRunnable, `Cannot run "${root}/directory/game": it is a directory`],
      ["/no/game", "", EXIT.notFound, 'Cannot run "/no/game": there is no such file'],
      [`${first}/game`, "", EXIT.notFound, `Cannot run "${first}/game": there is no such file`],
      [`${root}/plain/game`, "", EXIT.notRunnable, `Cannot run "${root}/plain/game": permission denied`],
      [`${root}/first`, "", EXIT.notRunnable, `Cannot run "${root}/first": it is a directory`],
      [`${root}/first/loop`, "", EXIT.notRunnable, `Cannot run "${root}/first/loop": its symbolic links loop`],
      ["/dev/null", "", EXIT.notRunnable, 'Cannot run "/dev/null": it is not a regular file'],
    ];
    for (const [name, searchPath, exitCode, message] of cases) {
      const error = errorOf(() => findProgram(name, searchPath));
      expect([error.message, error.exitCode as number]).toEqual([message, exitCode]);
    }
  });
});

describe("readProgram()", () => {
  const main = "int main(void) { return 0; }";

  test("reads a program that can be hosted", () => {
    const path = scratch.compile("hosted", main, "-pie", "-fPIE", "-Wl,-rpath,/opt/run");
    const { name, path: same, library } = readProgram("./hosted", path, new LibraryStore());
    expect([name, same]).toEqual(["./hosted", path]);
    expect(library).toMatchObject({
      needed: ["libc.so.6"],
      runpath: "/opt/run",
      interpreter: "/lib64/ld-linux-x86-64.so.2",
      isFixed: false,
      isPie: true,
    });
  });

  const cases: [string, () => string, RegExp][] = [
    [
      "a script",
      () => file("script", 0o755, "#! /usr/bin/env  python3 -x\nmore\n"),
      /: it is a script for "\/usr\/bin\/env {2}python3 -x", and/,
    ],
    ["neither ELF nor script", () => file("data", 0o755, "\0echo\n"), /: it is neither an ELF program nor a script$/],
    ["an empty file", () => file("empty", 0o755, ""), /: it is neither an ELF program nor a script$/],
    [
      "a damaged 32-bit program",
      () => file("small", 0o755, library({ elfClass: 1, machine: 3 })),
      /: ELF header: a 32-bit file with 0 program headers of 0 bytes$/,
    ],
    [
      "for another machine",
      () => file("other", 0o755, library({ machine: 183 })),
      /: ELF header: for machine AArch64, and/,
    ],
    ["setuid", () => file("setuid", 0o4755), /: it is setuid, and would run without these rights$/],
    ["setgid", () => file("setgid", 0o2755), /: it is setgid, and/],
    [
      "a library",
      () => file("library.so", 0o755, library({})),
      /: it has no program interpreter: it is a library, or links itself$/,
    ],
    [
      "at a fixed address",
      () => scratch.compile("fixed", main, "-no-pie", "-fno-pie"),
      /: it is linked to run at a fixed address/,
    ],
    ["statically linked", () => scratch.compile("static", main, "-static"), /: it is statically linked, and/],
    [
      "with thread-local data",
      () => scratch.compile("tls", `__thread int red = 1; ${main}`, "-pie", "-fPIE"),
      /: it has thread-local data of its own \(PT_TLS, 4 bytes\)/,
    ],
    ["cut off", () => file("cut", 0o755, library({}).slice(0, 100)), /: program headers: /],
  ];
  test.each(cases)("refuses one that is %s, and says so", (_, make, message) => {
    const path = make();
    const error = errorOf(() => readProgram("game", path, new LibraryStore()));
    expect(error.exitCode as number).toBe(EXIT.notRunnable);
    expect(error.message).toStartWith(`Cannot host "${path}": `);
    expect(error.message).toMatch(message);
  });
});
