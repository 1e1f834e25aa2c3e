// A launcher's own functions in place of an isolated library's.

import { beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { expectLines } from "../support/expect.ts";
import { build } from "../support/fixtures.ts";
import { lines } from "../support/lines.ts";
import { helper, type Notgl, notgl, shown, shownByHandle } from "../support/notgl.ts";
import { capsule } from "../support/run.ts";

let family: Notgl;
let hook: string;
let lacking: string;
let env: Record<string, string>;

beforeAll(async () => {
  family = await notgl();
  env = { LD_LIBRARY_PATH: family.reference };
  const out = await build("library/a-hook-stands-in-front-of-a-hosts-function", [
    { path: "libhook.so", sources: ["hook.c"] },
    { path: "none/libnone.so.1", sources: ["hook.c"] },
    { path: "liblacking.so", sources: ["hook.c"], needs: ["none/libnone.so.1"] },
  ]);
  hook = join(out, "libhook.so");
  lacking = join(out, "liblacking.so");
});

const soname = "libnotgl.so.0";
const flags = (...hooks: string[]) => [
  ...["--host", family.red, "--isolate", soname],
  ...hooks.flatMap((text) => ["--hook", `${soname}:${text}`]),
];
const hooked = (line: string, call: number) => line.replace(/: red$/, `: red, hooked, call ${call}`);

describe("a hook stands in front of a function of an isolated library", () => {
  test("for a program that is linked to it", async () => {
    const outcome = await capsule(flags(`notgl_get_implementation=${hook}`), family.programs.linkedToOne, [], { env });
    expectLines(
      outcome,
      shown("notgl", "red").map((line) => hooked(line, 1)),
    );
  });

  test("for one that asks by dlsym", async () => {
    const outcome = await capsule(flags(`notgl_get_implementation=${hook}`), family.programs.linkedToNone, [], { env });
    expect(outcome.stderr).toBe("");
    expect(lines(outcome.stdout)).toEqual(
      expect.arrayContaining(shownByHandle("notgl", "red").map((line) => hooked(line, 1))),
    );
  });

  test("for what a script starts", async () => {
    const words = ["-c", `'${family.programs.linkedToOne}'`];
    const outcome = await capsule(flags(`notgl_get_implementation=${hook}`), "/bin/sh", words, { env });
    expectLines(
      outcome,
      shown("notgl", "red").map((line) => hooked(line, 1)),
    );
  });

  test("under another name, and several", async () => {
    const several = flags(`notgl_get_implementation=${hook}`, `notgl_use_helper=${hook}:other_helper`);
    const outcome = await capsule(several, family.programs.linkedToOne, [], { env });
    const use = `notgl_use_helper: ${helper("red")}`;
    expectLines(
      outcome,
      shown("notgl", "red").map((line) => (line === use ? `${use}, by another name` : hooked(line, 1))),
    );
  });
});

describe("what cannot be hooked is said before anything is done:", () => {
  const refused = async (list: string[], message: string, exitCode = 125) => {
    const outcome = await capsule(list, family.programs.linkedToOne, [], { env });
    expect(outcome.stderr).toBe(`capsule: ${message}\n`);
    expect(outcome.exitCode).toBe(exitCode);
    expect(outcome.stdout).toBe("");
  };

  test("a function that the library does not have", async () => {
    await refused(
      flags(`notgl_none=${hook}:other_helper`),
      `Cannot hook "notgl_none" of "${soname}": "${family.red}/usr/lib/x86_64-linux-gnu/libnotgl.so.0.123.456" does not export "notgl_none"`,
    );
  });

  test("one that the shared object does not have", async () => {
    await refused(
      flags(`notgl_use_helper=${hook}`),
      `Cannot hook "notgl_use_helper" of "${soname}": "${hook}" does not export "notgl_use_helper"`,
    );
  });

  test("what is no function", async () => {
    await refused(
      flags(`notgl_use_helper=${hook}:hook_count`),
      `Cannot hook "notgl_use_helper" of "${soname}": "hook_count" of "${hook}" is no function`,
    );
  });

  test("two for one function", async () => {
    const two = flags(`notgl_use_helper=${hook}:other_helper`, `notgl_use_helper=${hook}:notgl_get_implementation`);
    await refused(two, `Cannot hook "notgl_use_helper" of "${soname}" twice`, 2);
  });

  test("one whose shared object lacks what it needs", async () => {
    const outcome = await capsule(flags(`notgl_use_helper=${lacking}:other_helper`), family.programs.linkedToOne, [], {
      env,
    });
    expect(outcome.stderr).toStartWith(
      `capsule: Cannot find "libnone.so.1", which "${lacking}" needs, in "${family.red}"`,
    );
    expect([outcome.exitCode, outcome.stdout]).toEqual([125, ""]);
  });

  test("a library that is not isolated", async () => {
    await refused(
      ["--host", family.red, "--isolate", soname, "--hook", `libnotgles.so.1:notgles_use_helper=${hook}:other_helper`],
      `Cannot hook "notgles_use_helper" of "libnotgles.so.1": that is not an isolated library`,
    );
  });

  test("a shared object that is not there, and a text that says nothing", async () => {
    await refused(
      flags("notgl_use_helper=/nowhere.so"),
      `Cannot hook "${soname}:notgl_use_helper=/nowhere.so": "/nowhere.so": no such file`,
    );
    await refused(
      flags("notgl_use_helper"),
      `Cannot hook "${soname}:notgl_use_helper": SONAME:SYMBOL=FILE or SONAME:SYMBOL=FILE:FUNCTION is needed`,
      2,
    );
  });
});
