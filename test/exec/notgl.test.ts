// libcapsule's own main test, re-created: which copy of a library does each caller get?

import { beforeAll, describe, test } from "bun:test";
import { expectLines } from "../support/expect.ts";
import { helper, type Notgl, notgl, shown, shownByHandle } from "../support/notgl.ts";
import { capsule, native } from "../support/run.ts";

let family: Notgl;
let env: Record<string, string>;

beforeAll(async () => {
  family = await notgl();
  env = { LD_LIBRARY_PATH: family.reference };
});

const closedAndOpened = "closed and opened 9 times";
const ownHelper = `the program's own helper: ${helper("reference")}`;

describe("without capsule, everything is the runtime's", () => {
  test("for a program that is linked to one library", async () => {
    expectLines(await native(family.programs.linkedToOne, [], { env }), shown("notgl", "reference"));
  });

  test("for a program that is linked to both, and to their helper", async () => {
    expectLines(await native(family.programs.linkedToBoth, [], { env }), [
      ...shown("notgl", "reference"),
      ...shown("notgles", "reference"),
      ownHelper,
    ]);
  });

  test("for a program that opens both at run time", async () => {
    expectLines(await native(family.programs.linkedToNone, [], { env }), [
      ...shownByHandle("notgl", "reference"),
      ...shownByHandle("notgles", "reference"),
      closedAndOpened,
    ]);
  });
});

describe("an isolated library comes from the host tree, with its own helper", () => {
  for (const colour of ["red", "green"] as const) {
    test(`and with extensions that only the ${colour} copy has`, async () => {
      const flags = ["--host", family[colour], "--isolate", "libnotgl.so.0"];
      expectLines(await capsule(flags, family.programs.linkedToOne, [], { env }), shown("notgl", colour));
    });
  }

  test("while the program's own helper, of the same soname, stays the runtime's", async () => {
    const flags = ["--host", family.green, "--isolate", "libnotgl.so.0,libnotgles.so.1"];
    expectLines(await capsule(flags, family.programs.linkedToBoth, [], { env }), [
      ...shown("notgl", "green"),
      ...shown("notgles", "green"),
      ownHelper,
    ]);
  });

  test("and a library that is not isolated stays the runtime's", async () => {
    const flags = ["--host", family.red, "--isolate", "libnotgles.so.1"];
    expectLines(await capsule(flags, family.programs.linkedToBoth, [], { env }), [
      ...shown("notgl", "reference"),
      ...shown("notgles", "red"),
      ownHelper,
    ]);
  });

  test("when the program opens, closes and opens it again at run time", async () => {
    const flags = ["--host", family.red, "--isolate", "libnotgl.so.0", "--isolate", "libnotgles.so.1"];
    expectLines(await capsule(flags, family.programs.linkedToNone, [], { env }), [
      ...shownByHandle("notgl", "red"),
      ...shownByHandle("notgles", "red"),
      closedAndOpened,
    ]);
  });

  test("when the runtime has no copy of it at all", async () => {
    const flags = ["--host", family.red, "--isolate", "libnotgl.so.0,libnotgles.so.1"];
    expectLines(await capsule(flags, family.programs.linkedToNone), [
      ...shownByHandle("notgl", "red"),
      ...shownByHandle("notgles", "red"),
      closedAndOpened,
    ]);
  });
});

describe("two host trees at once are two capsules, each whole", () => {
  const expected = () => [...shown("notgl", "red"), ...shown("notgles", "green"), ownHelper];

  test("given by --isolate SONAME=DIR", async () => {
    const flags = ["--host", family.green, "--isolate", `libnotgl.so.0=${family.red}`, "--isolate", "libnotgles.so.1"];
    expectLines(await capsule(flags, family.programs.linkedToBoth, [], { env }), expected());
  });

  test("given by libcapsule's variables", async () => {
    const prefixes = { CAPSULE_PREFIX: family.green, CAPSULE_LIBNOTGL_SO_0_PREFIX: family.red };
    const flags = ["--isolate", "libnotgl.so.0,libnotgles.so.1"];
    const outcome = await capsule(flags, family.programs.linkedToBoth, [], { env: { ...env, ...prefixes } });
    expectLines(outcome, expected());
  });

  test("for a program that opens both at run time", async () => {
    const flags = ["--isolate", `libnotgl.so.0=${family.red}`, "--isolate", `libnotgles.so.1=${family.green}`];
    expectLines(await capsule(flags, family.programs.linkedToNone, [], { env }), [
      ...shownByHandle("notgl", "red"),
      ...shownByHandle("notgles", "green"),
      closedAndOpened,
    ]);
  });
});
