// Which mode is asked for, and what programs say for or against it.

import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync } from "node:fs";
import { System } from "../../../lib/process/system.ts";
import { NotHostableError, UsageError } from "../../../src/diagnostics/errors.ts";
import { inMode } from "../../../src/plan/mode.ts";
import { reasonToAttach, shebangOf } from "../../../src/plan/program.ts";
import type { Mode, NamespaceChoice } from "../../../src/settings/choices.ts";
import { Scratch } from "../../lib/elf/scratch.ts";
import { library } from "../../lib/tree/small-tree.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

describe("inMode()", () => {
  const main = "int main(void) { return 0; }";
  const hosted = scratch.compile("hostable", main, "-pie", "-fPIE");
  const fixed = scratch.compile("unhostable", main, "-no-pie", "-fno-pie");
  const system = new System();
  const decide = (path: string, mode: Mode, mountNamespace: NamespaceChoice = "auto", hinder?: Error) =>
    inMode(path, { mode, mountNamespace }, system, {
      inProcess(why) {
        if (hinder) throw hinder;
        return `in-process, ${why}`;
      },
      attached: (why) => `attached, ${why}`,
    });

  test("goes by what is asked for", () => {
    expect(decide(hosted, "attached")).toBe("attached, as was asked for");
    expect(decide(fixed, "in-process")).toBe("in-process, as was asked for");
  });

  test("goes by the program's headers where nothing is", () => {
    expect(decide(hosted, "auto")).toBe("in-process, if nothing forbids it");
    expect(decide(fixed, "auto")).toMatch(/^attached, as it is linked to run at a fixed address/);
  });

  test("attaches what turns out not to be hostable, unless that was asked for", () => {
    const hinder = new NotHostableError(hosted, "it brings a malloc");
    expect(decide(hosted, "auto", "auto", hinder)).toBe("attached, as it brings a malloc");
    expect(() => decide(hosted, "in-process", "auto", hinder)).toThrow(hinder);
    expect(() => decide(hosted, "auto", "auto", new Error("another"))).toThrow("another");
  });

  test("attaches what has $ORIGIN on its library path, which ld.so has expanded for Bun", () => {
    const before = process.env.LD_LIBRARY_PATH;
    try {
      process.env.LD_LIBRARY_PATH = `/opt/$LIB:\${ORIGIN}/lib`;
      expect(decide(hosted, "auto")).toMatch(/^attached, as LD_LIBRARY_PATH has \$ORIGIN/);
      expect(() => decide(hosted, "in-process")).toThrow(NotHostableError);
      process.env.LD_LIBRARY_PATH = "/opt/$LIB:$ORIGINAL";
      expect(decide(hosted, "auto")).toBe("in-process, if nothing forbids it");
    } finally {
      if (before === undefined) delete process.env.LD_LIBRARY_PATH;
      else process.env.LD_LIBRARY_PATH = before;
    }
  });

  test("attaches what wants a mount namespace, and takes nothing else for it", () => {
    expect(decide(hosted, "auto", "always")).toMatch(/^attached, as a mount namespace is for programs/);
    expect(() => decide(hosted, "in-process", "always")).toThrow(UsageError);
  });
});

describe("reasonToAttach()", () => {
  const main = "int main(void) { return 0; }";
  const file = (name: string, content: Uint8Array | string): string => {
    const path = scratch.write(name, content);
    chmodSync(path, 0o755);
    return path;
  };
  const cases: [string, () => string, string | undefined][] = [
    ["a program that can be hosted", () => scratch.compile("hosted", main, "-pie", "-fPIE"), undefined],
    ["one at a fixed address", () => scratch.compile("fixed", main, "-no-pie", "-fno-pie"), "fixed address"],
    ["thread-local data", () => scratch.compile("tls", `__thread int red = 1; ${main}`, "-pie", "-fPIE"), "PT_TLS"],
    ["a script", () => file("script", "#!/bin/sh\n"), "it is a script"],
    ["a static program", () => scratch.compile("static", main, "-static"), "it is statically linked, so"],
    ["one that goes anywhere", () => scratch.compile("pie", main, "-static-pie"), "it is statically linked, so"],
    ["a library", () => scratch.compile("library.so", "int red;", "-shared", "-fPIC"), undefined],
    ["text", () => file("text", "echo\n"), "it is a script without an interpreter of its own"],
    ["data", () => file("data", "\0echo\n"), undefined],
    ["nothing", () => file("empty", ""), undefined],
    ["an ELF file that is cut off", () => file("cut", library({}).slice(0, 100)), undefined],
  ];
  test.each(cases)("of %s", (_, make, reason) => {
    const found = reasonToAttach(make());
    if (reason === undefined) expect(found).toBeUndefined();
    else expect(found).toContain(reason);
  });
});

describe("shebangOf()", () => {
  const cases: [string, [string, string] | undefined][] = [
    ["#!/bin/sh\nrest", ["/bin/sh", ""]],
    ["#! \t/bin/sh  -e -x \nrest", ["/bin/sh", "-e -x"]],
    ["#!/bin/sh", ["/bin/sh", ""]],
    ["#!\n/bin/sh", ["", ""]],
    ["#!", ["", ""]],
    [" #!/bin/sh", undefined],
    ["\x7fELF", undefined],
  ];
  test.each(cases)("of %j", (head, expected) => expect(shebangOf(head)).toEqual(expected));
});
