// Which mode is asked for, and what programs say for or against it.

import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync } from "node:fs";
import { UsageError } from "../../src/errors.ts";
import { modeOf } from "../../src/mode.ts";
import { reasonToAttach, shebangOf } from "../../src/program.ts";
import { Scratch } from "../lib/elf/scratch.ts";
import { library } from "../lib/tree/small-tree.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

describe("modeOf()", () => {
  test("is the flag's, else the variable's, else auto", () => {
    expect(modeOf("attached", "in-process")).toBe("attached");
    expect(modeOf(undefined, "in-process")).toBe("in-process");
    expect(modeOf(undefined, "")).toBe("auto");
    expect(modeOf(undefined, undefined)).toBe(process.env.CAPSULE_MODE ? modeOf(process.env.CAPSULE_MODE) : "auto");
  });

  test("throws for an empty flag and for what every object has", () => {
    for (const name of ["", "constructor", "Auto"]) expect(() => modeOf(name)).toThrow(UsageError);
    expect(() => modeOf(undefined, "no")).toThrow('There is no mode "no", as CAPSULE_MODE says: choose of auto,');
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
    ["a static program, which is refused elsewhere", () => scratch.compile("static", main, "-static"), undefined],
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
