// Libraries that belong together: of which the user names one, and all of them come from that tree.

import { beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, cpSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { PlanReport } from "../../src/report/plan-data.ts";
import { expectSame } from "../support/expect.ts";
import { build, type Output } from "../support/fixtures.ts";
import { capsule, command, native } from "../support/run.ts";
import { FAILED, USAGE, Workshop } from "../support/workshop.ts";

const LIBRARIES = "usr/lib/x86_64-linux-gnu";
const COLOURS = ["reference", "red", "green"] as const;
const MEMBERS = { "libGL.so.1": "gl_colour", "libGLX.so.0": "glx_colour", "libEGL.so.1": "egl_colour" };

const family = (colour: string): Output[] => {
  const at = colour === "reference" ? colour : `${colour}/${LIBRARIES}`;
  const dispatch = `${at}/libGLdispatch.so.0`;
  const flags = [`-DCOLOUR=${colour}`];
  return [
    { path: dispatch, sources: ["dispatch.c"], flags: [...flags, "-Wno-missing-prototypes"] },
    ...Object.entries(MEMBERS).map(([soname, name]) => ({
      ...{ path: `${at}/${soname}`, sources: ["member.c"], needs: [dispatch], flags: [...flags, `-DNAME=${name}`] },
    })),
  ];
};

let workshop: Workshop;
let [reference, red, green, program] = ["", "", "", ""];
beforeAll(async () => {
  workshop = await Workshop.open({});
  const needs = Object.keys(MEMBERS).map((soname) => `reference/${soname}`);
  const out = await build("hosting/libraries-of-one-family-come-from-one-tree", [
    ...COLOURS.flatMap(family),
    { path: "program", sources: ["program.c"], needs },
  ]);
  [reference = "", red = "", green = "", program = ""] = [...COLOURS, "program"].map((name) => join(out, name));
});

const options = (env: Record<string, string> = {}) => ({ env: { LD_LIBRARY_PATH: reference, ...env } });
const model = () => native(program, [], { env: { LD_LIBRARY_PATH: join(red, LIBRARIES) } });

function settings(...lines: string[]): string[] {
  const path = workshop.fresh("settings.toml");
  writeFileSync(path, `${lines.join("\n")}\n`);
  chmodSync(path, 0o644);
  return ["--settings", path];
}

describe("a family comes from the tree that one of it was given", () => {
  const ways: [string, () => string[], (() => Record<string, string>)?][] = [
    ["by a variable", () => ["--host", green], () => ({ CAPSULE_LIBGL_SO_1_PREFIX: red })],
    ["by a variable of another one", () => ["--host", green], () => ({ CAPSULE_LIBEGL_SO_1_PREFIX: red })],
    [
      "by a variable, of one that a profile has",
      () => ["--host", green, "--profile", "gl"],
      () => ({ CAPSULE_LIBGLX_SO_0_PREFIX: red }),
    ],
    ["by SONAME=DIR", () => ["--isolate", `libGL.so.1=${red}`]],
    [
      "by SONAME=DIR, beside a profile",
      () => ["--host", green, "--profile", "gl,egl", "--isolate", `libGL.so.1=${red}`],
    ],
    [
      "by SONAME=DIR, and others of it were named",
      () => ["--host", green, "--isolate", `libEGL.so.1,libGL.so.1=${red},libGLX.so.0`],
    ],
    ["by a file of settings", () => settings(`host = "${green}"`, "[libraries]", `"libGLX.so.0" = "${red}"`)],
    [
      "by a profile that has one alone",
      () => settings(`host = "${red}"`, 'profile = "mine"', "[profiles.mine]", 'isolate = ["libGLX.so.0"]'),
    ],
    ["with all the others, if one was named", () => ["--host", red, "--isolate", "libGL.so.1"]],
    ["twice, by two of its names", () => ["--host", green, "--isolate", `libGL.so.1=${red},libEGL.so.1=${red}/../red`]],
  ];
  for (const [words, flags, env] of ways)
    test(words, async () => {
      expectSame(await capsule(flags(), program, [], options(env?.())), await model());
    });
});

describe("a family that is asked of two trees is refused, with all of its names:", () => {
  const ways: [string, () => string[], () => Record<string, string>, string][] = [
    [
      "by two variables",
      () => [],
      () => ({ CAPSULE_LIBGL_SO_1_PREFIX: red, CAPSULE_LIBEGL_SO_1_PREFIX: green }),
      "as CAPSULE_LIBEGL_SO_1_PREFIX says",
    ],
    [
      "by SONAME=DIR",
      () => ["--isolate", `libGLX.so.0=${red},libGLdispatch.so.0=${green}`],
      () => ({}),
      '"libGLX.so.0" from',
    ],
    [
      "by a variable and a file",
      () => settings("[libraries]", `"libGL.so.1" = "${green}"`),
      () => ({ CAPSULE_LIBEGL_SO_1_PREFIX: red }),
      "as line 2 of",
    ],
    [
      "one of which nobody isolates",
      () => ["--profile", "gl"],
      () => ({ CAPSULE_LIBGL_SO_1_PREFIX: red, CAPSULE_LIBEGL_SO_1_PREFIX: green }),
      "libGLdispatch.so.0",
    ],
  ];
  for (const [words, flags, env, mention] of ways)
    test(words, async () => {
      const outcome = await capsule(flags(), program, [], options(env()));
      workshop.expectRefusal(outcome, USAGE, mention, "libGL.so.1, libGLX.so.0, libEGL.so.1", "come from one tree");
      expect(outcome.stderr.match(/\n/g)).toHaveLength(1);
    });
});

describe("what the tree of one lacks", () => {
  const without = (...sonames: string[]) => {
    const tree = workshop.fresh("tree");
    cpSync(red, tree, { recursive: true });
    for (const soname of sonames) rmSync(join(tree, LIBRARIES, soname));
    return tree;
  };
  const named = (tree: string) => ["--host", green, "--profile", "gl", "--isolate", `libGL.so.1=${tree}`];

  test("is not taken from another one where it needs it", async () => {
    const tree = without("libGLdispatch.so.0");
    const outcome = await capsule(named(tree), program, [], options());
    workshop.expectRefusal(outcome, FAILED, "libGLdispatch.so.0", join(tree, LIBRARIES, "libGL.so.1"));
  });

  test("is the runtime's where it would need what is there", async () => {
    const tree = without("libEGL.so.1");
    const { stdout } = await command(["plan", "--json", ...named(tree), program], options());
    const { capsules } = JSON.parse(stdout) as PlanReport;
    const [own] = capsules.filter((capsule) => capsule.tree === tree);
    expect(own?.left.map(({ soname }) => soname)).toContain("libEGL.so.1");
    expect(own?.isolated).toContainEqual(expect.objectContaining({ soname: "libGLX.so.0", follows: "libGL.so.1" }));
  });
});

test("a plan, and why, say which one a library follows", async () => {
  const flags = ["--host", green, "--isolate", `libGL.so.1=${red}`, "--no-settings"];
  const { stdout } = await command(["plan", ...flags, program], options());
  expect(stdout.replace(/\s+/g, " ")).toContain("(from the tree of libGL.so.1, with which they belong)");
  const why = await command(["why", ...flags, "--program", program, "libGLX.so.0"], options());
  expect(why.stdout.replace(/\s+/g, " ")).toContain("isolated, as the family of libGL.so.1 says");
});
