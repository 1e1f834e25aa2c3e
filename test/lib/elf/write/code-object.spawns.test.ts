// Objects with machine code: by readers, and at work in a process that loads one.

import { afterAll, describe, expect, test } from "bun:test";
import { checkFile } from "../../../../lib/elf/check.ts";
import { PF_R, PF_W, PF_X, PT_LOAD } from "../../../../lib/elf/constants.ts";
import { openImage } from "../../../../lib/elf/file.ts";
import { type CodeObjectOptions, codeObject } from "../../../../lib/elf/write/code-object.ts";
import { PAGE_SIZE } from "../../../../lib/memory/numbers.ts";
import { Assembler } from "../../../../lib/x86-64/assembler.ts";
import { eax } from "../../../../lib/x86-64/narrow-registers.ts";
import { rip } from "../../../../lib/x86-64/operands.ts";
import { rax, rdi, rsp } from "../../../../lib/x86-64/registers.ts";
import { run } from "../../../support/run.ts";
import { agreement, disassemble } from "../../x86-64/disassemble.ts";
import { Scratch } from "../scratch.ts";
import { expectSameByElfinfo, readelf, symbolsByReadelf } from "./parse.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

const code = new Assembler()
  .label("measure") // abs(argument) + base
  .sub(8, rsp)
  .call(rip("abs"))
  .movslq(eax, rax)
  .add(rip("base"), rax)
  .incq(rip("calls"))
  .add(8, rsp)
  .ret()
  .label("calls so far")
  .mov(rip("calls"), rax)
  .ret()
  .label("address of nobody")
  .mov(rip("nobody"), rax)
  .ret()
  .label("which measure") // counts as a call, too
  .incq(rip("calls"))
  .lea(rip("measure"), rax)
  .ret()
  .label("start") // (argc, argv, envp)
  .mov(rdi, rip("calls"))
  .ret()
  .align(PAGE_SIZE)
  .label("data")
  .label("base")
  .quad(1000)
  .label("calls")
  .quad(0)
  .label("abs")
  .quad(0)
  .label("nobody")
  .quad(0)
  .assemble();

const options: CodeObjectOptions = {
  soname: "libcode.so.1",
  needed: ["libc.so.6"],
  code,
  dataAt: code.labels.get("data") ?? 0,
  functions: new Map([
    ["measure", "measure"],
    ["calls_so_far", "calls so far"],
    ["address_of_nobody", "address of nobody"],
    ["chosen_measure", "which measure"],
  ]),
  indirect: new Set(["chosen_measure"]),
  imports: new Map([
    ["abs", "abs"],
    ["nobody_defines_this", "nobody"],
  ]),
  weak: new Set(["nobody_defines_this"]),
  zeroPages: 3,
  nodelete: true,
  init: "start",
};
const object = codeObject(options);
const path = scratch.write("libcode.so.1", object.bytes);

const USER = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
int main(int argc, char **argv) {
  void *handle = dlopen(argv[1], RTLD_NOW);
  if (!handle) { puts(dlerror()); return 1; }
  long (*measure)(int) = dlsym(handle, "measure");
  long (*calls)(void) = dlsym(handle, "calls_so_far");
  long (*nobody)(void) = dlsym(handle, "address_of_nobody");
  printf("the initialiser got %ld arguments of %d\\n", calls(), argc);
  printf("measured %ld and %ld\\n", measure(-5), measure(7));
  printf("calls and arguments: %ld\\n", calls());
  printf("nobody is at %ld\\n", nobody());
  printf("the one that is chosen: %s\\n", dlsym(handle, "chosen_measure") == (void *)measure ? "measure" : "another");
  printf("calls with that of who chooses: %ld\\n", calls());
  Dl_info info;
  dladdr(measure, &info);
  char *zero = (char *)info.dli_fbase + strtol(argv[2], 0, 10);
  long sum = 0, size = strtol(argv[3], 0, 10);
  for (long i = 0; i < size; i++) sum += zero[i];
  printf("the zero pages sum up to %ld\\n", sum);
  Dl_info owner;
  printf("and are the object's: %s\\n", dladdr(zero + size - 1, &owner) && owner.dli_fbase == info.dli_fbase ? "yes" : "no");
  printf("they can be protected otherwise: %s\\n", mprotect(zero, size, PROT_READ | PROT_WRITE) ? "no" : "yes");
  zero[size - 1] = 1;
  dlclose(handle);
  printf("after dlclose: %ld\\n", measure(1));
  return 0;
}`;

describe("codeObject()", () => {
  test("its code, as listed", () => {
    const [listed, found] = agreement(code, disassemble(code, scratch));
    expect(found).toEqual(listed);
  });

  test("runs: it has its data, what it imports and its zero pages, and stays", async () => {
    const program = scratch.compile("user", USER, "-ldl");
    const { stdout, exitCode } = await run([program, path, `${object.plan.zeroAt}`, `${object.plan.zeroSize}`]);
    expect(stdout.split("\n")).toEqual([
      "the initialiser got 4 arguments of 4",
      "measured 1005 and 1007",
      "calls and arguments: 6",
      "nobody is at 0",
      "the one that is chosen: measure",
      "calls with that of who chooses: 7",
      "the zero pages sum up to 0",
      "and are the object's: yes",
      "they can be protected otherwise: yes",
      "after dlclose: 1001",
      "",
    ]);
    expect(exitCode).toBe(0);
  });

  test("does not load where an import that is not weak has no definition", async () => {
    const strict = codeObject({ ...options, weak: new Set() });
    const program = scratch.compile("user", USER, "-ldl");
    const { stdout, exitCode } = await run([program, scratch.write("libstrict.so", strict.bytes), "0", "0"]);
    expect(stdout).toContain("undefined symbol: nobody_defines_this");
    expect(exitCode).toBe(1);
  });

  test("keeps code and data apart, as far from each other as they were assembled", () => {
    using image = openImage(path);
    expect(image.loads.map(({ p_type, p_flags }) => [p_type, p_flags])).toEqual([
      [PT_LOAD, PF_R],
      [PT_LOAD, PF_R | PF_X],
      [PT_LOAD, PF_R | PF_W],
      [PT_LOAD, PF_R | PF_W],
    ]);
    const [, text, data, zero] = image.loads;
    expect((data?.p_vaddr ?? 0) - (text?.p_vaddr ?? 0)).toBe(options.dataAt);
    expect(object.labels.get("data")).toBe(data?.p_vaddr);
    expect(object.labels.get("measure")).toBe(text?.p_vaddr);
    expect(object.plan.zeroAt).toBe(zero?.p_vaddr as typeof object.plan.zeroAt);
    expect(zero?.p_memsz).toBe(3 * PAGE_SIZE);
  });

  test("holds together, by readelf and by elfinfo too", async () => {
    using image = openImage(path);
    checkFile(path);
    readelf(path, "-a");
    expect(readelf(path, "-d")).toMatch(/FLAGS_1.*NODELETE/);
    expect(symbolsByReadelf(path).map(({ name, binding, type, section }) => [name, binding, type, section])).toEqual([
      ["", "LOCAL", "NOTYPE", "UND"],
      ["measure", "GLOBAL", "FUNC", "1"],
      ["calls_so_far", "GLOBAL", "FUNC", "1"],
      ["address_of_nobody", "GLOBAL", "FUNC", "1"],
      ["chosen_measure", "GLOBAL", "IFUNC", "1"],
      ["abs", "GLOBAL", "NOTYPE", "UND"],
      ["nobody_defines_this", "WEAK", "NOTYPE", "UND"],
    ]);
    await expectSameByElfinfo(image);
  });

  test("may have neither data nor imports", () => {
    const { bytes } = codeObject({
      soname: "libret.so",
      code: new Assembler().label("ret").ret().assemble(),
      dataAt: PAGE_SIZE,
      functions: new Map([["ret", "ret"]]),
    });
    checkFile(scratch.write("libret.so", bytes));
    readelf(scratch.path("libret.so"), "-a");
  });

  test("refuses what could not work", () => {
    const functions = new Map([["f", "no such label"]]);
    expect(() => codeObject({ ...options, functions })).toThrow('there is no label "no such label"');
    expect(() => codeObject({ ...options, imports: new Map([["abs", "measure"]]) })).toThrow("not among its data");
    expect(() => codeObject({ ...options, dataAt: 8 })).toThrow("does not begin with a page");
  });
});
