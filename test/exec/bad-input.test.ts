// What is missing, unreadable or hostile ends in one paragraph and an exit code: never in a crash, a hang or a full
// memory.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, cpSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { ElfBytes } from "../support/elf-bytes.ts";
import { expectLines, expectSame } from "../support/expect.ts";
import { build } from "../support/fixtures.ts";
import { isAttached, leftIn } from "../support/mode.ts";
import { LIBRARIES, shown } from "../support/notgl.ts";
import { capsule, command, native, run } from "../support/run.ts";
import { FAILED, FILE, NOT_FOUND, NOT_RUNNABLE, SONAME, USAGE, Workshop } from "../support/workshop.ts";

let workshop: Workshop;
beforeAll(async () => {
  workshop = await Workshop.open({});
});
afterAll(() => workshop[Symbol.dispose]());

describe("the command line", () => {
  const mistakes: [string, string[]][] = [
    ["no program", []],
    ["an option that does not exist", ["--no-such-option", "/bin/true"]],
    ["--host without a directory", ["--host"]],
    ["--isolate without a soname", ["--isolate"]],
    ["an empty soname", ["--isolate", "", "/bin/true"]],
    ["an empty directory for a soname", ["--isolate", "libnotgl.so.0=", "/bin/true"]],
    ["a profile that does not exist", ["--profile", "no-such-profile", "/bin/true"]],
  ];
  for (const [words, args] of mistakes) {
    test(`with ${words} is a usage error`, async () => {
      const outcome = await command(["exec", ...args]);
      workshop.expectRefusal(outcome, USAGE);
    });
  }

  test("with a path for a soname says that a soname is wanted", async () => {
    const outcome = await capsule(["--isolate", "/usr/lib/libnotgl.so.0"], workshop.family.programs.linkedToOne);
    workshop.expectRefusal(outcome, USAGE, "/usr/lib/libnotgl.so.0");
  });
});

describe("a program", () => {
  test("that is missing", async () => {
    const program = join(workshop.directory, "no-such-program");
    workshop.expectRefusal(await workshop.show(workshop.family.red, program), NOT_FOUND, program);
  });

  test("that is nowhere on PATH", async () => {
    workshop.expectRefusal(await workshop.show(workshop.family.red, "no-such-program"), NOT_FOUND, "no-such-program");
  });

  test("that is a directory", async () => {
    workshop.expectRefusal(
      await workshop.show(workshop.family.red, workshop.directory),
      NOT_RUNNABLE,
      workshop.directory,
    );
  });

  test("that is a FIFO", async () => {
    const program = workshop.fresh("fifo");
    await run(["mkfifo", "-m", "755", program]);
    workshop.expectRefusal(await workshop.show(workshop.family.red, program), NOT_RUNNABLE, program);
  });

  test("that is not executable", async () => {
    const program = workshop.fresh("program");
    cpSync(workshop.family.programs.linkedToOne, program);
    chmodSync(program, 0o644);
    workshop.expectRefusal(await workshop.show(workshop.family.red, program), NOT_RUNNABLE, program);
  });

  test("that needs a library which the runtime does not have", async () => {
    const flags = ["--host", workshop.family.red, "--isolate", "libnotgles.so.1"];
    const program = workshop.family.programs.linkedToBoth;
    const outcome = await capsule(flags, program);
    // Attached programs are ld.so's.
    if (isAttached) expectSame(outcome, await native(program));
    else workshop.expectRefusal(outcome, NOT_FOUND, program, "libnotgl.so.0");
  });

  const kinds: [string, string, string[], RegExp][] = [
    ["position-dependent", "plain.c", ["-fno-pie", "-no-pie"], /fixed address|position/],
    ["static", "plain.c", ["-fno-pie", "-no-pie", "-static"], /static/i],
    ["static and position-independent", "plain.c", ["-static-pie"], /static|interpreter/],
    ["one with thread-local data", "thread-local.c", [], /thread-local|TLS/],
    ["one that begins by itself", "own-start.c", ["-nostartfiles", "-Wl,-e,own_start"], /begins|__libc_start_main/],
  ];
  for (const [words, source, flags, why] of kinds) {
    test(`that cannot be hosted, being ${words}, is refused for that reason where it has to be`, async () => {
      const folder = "bad-input/programs-that-cannot-be-hosted";
      const program = join(await build(folder, [{ path: "program", sources: [source], flags }]), "program");
      const outcome = await workshop.show(workshop.family.red, program, ["--mode", "in-process"]);
      workshop.expectRefusal(outcome, NOT_RUNNABLE, program);
      expect(outcome.stderr).toMatch(why);
    });
  }

  test("that is a script names its interpreter where it has to be hosted", async () => {
    const program = workshop.fresh("script");
    writeFileSync(program, "#!/bin/sh\necho it ran\n", { mode: 0o755 });
    const outcome = await workshop.show(workshop.family.red, program, ["--mode", "in-process"]);
    workshop.expectRefusal(outcome, NOT_RUNNABLE, program, "/bin/sh");
    expect(outcome.stderr).toMatch(/script/);
  });

  test("that is setuid", async () => {
    const program = workshop.fresh("setuid");
    cpSync(workshop.family.programs.linkedToOne, program);
    chmodSync(program, 0o4755);
    const outcome = await workshop.show(workshop.family.red, program);
    workshop.expectRefusal(outcome, NOT_RUNNABLE, program);
    expect(outcome.stderr).toMatch(/setuid/);
  });

  const foreign: [string, (elf: ElfBytes) => void, RegExp][] = [
    ["a 32-bit one", (elf) => elf.setHeader("ei_class", 1), /32-bit/],
    ["of another machine", (elf) => elf.setHeader("e_machine", 183), /machine|architecture|aarch64/i],
    ["big-endian", (elf) => elf.setHeader("ei_data", 2), /endian/],
  ];
  for (const [words, damage, why] of foreign) {
    test(`that is ${words}`, async () => {
      const program = workshop.damagedProgram(damage);
      const outcome = await workshop.show(workshop.family.red, program);
      workshop.expectRefusal(outcome, NOT_RUNNABLE, program);
      expect(outcome.stderr).toMatch(why);
    });
  }
});

describe("a host tree", () => {
  test("that is missing", async () => {
    const tree = join(workshop.directory, "no-such-tree");
    workshop.expectRefusal(await workshop.show(tree), FAILED, tree);
  });

  test("that is empty", async () => {
    const tree = workshop.fresh("empty");
    mkdirSync(tree);
    workshop.expectRefusal(await workshop.show(tree), FAILED, tree, SONAME);
  });

  test("that is a file", async () => {
    workshop.expectRefusal(
      await workshop.show(workshop.family.programs.linkedToOne),
      FAILED,
      workshop.family.programs.linkedToOne,
    );
  });

  test("without the soname that was asked for: the message lists where we looked", async () => {
    const outcome = await capsule(
      ["--host", workshop.family.red, "--isolate", "libabsent.so.7"],
      workshop.family.programs.linkedToNone,
    );
    workshop.expectRefusal(outcome, FAILED, "libabsent.so.7", workshop.family.red, LIBRARIES);
  });

  test("without a library that another one needs: the message names both, and where we looked", async () => {
    const tree = workshop.redTree();
    rmSync(workshop.helperIn(tree));
    workshop.expectRefusal(
      await workshop.show(tree),
      FAILED,
      "libhelper.so.0",
      SONAME,
      tree,
      workshop.family.reference,
      LIBRARIES,
    );
  });

  test("that is reached through a symbolic link is as good as any", async () => {
    const link = workshop.fresh("link");
    symlinkSync(workshop.family.red, link);
    expectLines(await workshop.show(link), shown("notgl", "red"));
  });
});

describe("a link in the host tree", () => {
  /** A tree in which `at` is a link to `target`. */
  function treeWithLink(at: string, target: string): string {
    const tree = workshop.redTree();
    rmSync(join(tree, at), { recursive: true, force: true });
    mkdirSync(dirname(join(tree, at)), { recursive: true });
    symlinkSync(target, join(tree, at));
    return tree;
  }
  const link = `${LIBRARIES}/${SONAME}`;

  test("that is absolute leads to a file in the tree", async () => {
    expectLines(await workshop.show(treeWithLink(link, `/${FILE}`)), shown("notgl", "red"));
  });

  test("that leads to itself", async () => {
    const tree = treeWithLink(link, SONAME);
    workshop.expectRefusal(await workshop.show(tree), FAILED, join(tree, link));
  });

  test("that is one of two which lead to each other", async () => {
    const tree = treeWithLink(link, "libother.so.0");
    symlinkSync(SONAME, join(tree, LIBRARIES, "libother.so.0"));
    workshop.expectRefusal(await workshop.show(tree), FAILED, join(tree, link));
  });

  test("that climbs out of the tree", async () => {
    const tree = workshop.redTree();
    rmSync(join(tree, link));
    const outside = join(workshop.directory, "outside.so");
    cpSync(join(tree, FILE), outside);
    symlinkSync(`../../../../${basename(outside)}`, join(tree, link));
    workshop.expectRefusal(await workshop.show(tree), FAILED, tree, `/${link}`);
  });

  test("that climbs out of the tree on the way to a directory", async () => {
    const tree = workshop.redTree();
    const directory = join(tree, LIBRARIES);
    const outside = workshop.fresh("outside");
    renameSync(directory, outside);
    symlinkSync(`../../../${basename(outside)}`, directory);
    workshop.expectRefusal(await workshop.show(tree), FAILED, tree, `/${LIBRARIES}`);
  });

  test("that leads nowhere", async () => {
    workshop.expectRefusal(await workshop.show(treeWithLink(link, "libgone.so.0")), FAILED, SONAME);
  });
});

describe("a host library that cannot be read, being", () => {
  test("a directory", async () => {
    const tree = workshop.redTree();
    rmSync(join(tree, FILE));
    mkdirSync(join(tree, FILE));
    workshop.expectRefusal(await workshop.show(tree), FAILED, join(tree, LIBRARIES, SONAME));
  });

  test("a FIFO", async () => {
    const tree = workshop.redTree();
    rmSync(join(tree, FILE));
    await run(["mkfifo", join(tree, FILE)]);
    workshop.expectRefusal(await workshop.show(tree), FAILED, join(tree, LIBRARIES, SONAME));
  });

  test("a socket's or device's file", async () => {
    const tree = workshop.redTree();
    rmSync(join(tree, FILE));
    const server = Bun.listen({ unix: join(tree, FILE), socket: { data() {} } });
    workshop.expectRefusal(await workshop.show(tree), FAILED, join(tree, LIBRARIES, SONAME));
    server.stop();
  });

  // Root may read everything.
  test.skipIf(process.getuid?.() === 0)("without permission to read it", async () => {
    const tree = workshop.redTree();
    chmodSync(join(tree, FILE), 0);
    workshop.expectRefusal(await workshop.show(tree), FAILED, join(tree, LIBRARIES, SONAME));
  });
});

describe("the directory for temporary files", () => {
  const showIn = (TMPDIR: string) => {
    const env = { LD_LIBRARY_PATH: workshop.family.reference, TMPDIR };
    return capsule(["--host", workshop.family.red, "--isolate", SONAME], workshop.family.programs.linkedToOne, [], {
      env,
    });
  };

  test("may have a path that is longer than a socket's", async () => {
    const directory = join(workshop.fresh("temporary"), "l".repeat(200), "m".repeat(200));
    mkdirSync(directory, { recursive: true });
    expectLines(await showIn(directory), shown("notgl", "red"));
    expect(await leftIn(directory)).toEqual([]);
  });

  test("that is missing", async () => {
    const directory = join(workshop.directory, "no-such-directory");
    workshop.expectRefusal(await showIn(directory), FAILED, directory, "TMPDIR");
  });
});
