// `capsule plan` for real programs on real trees: its shape, and that exec finds the same.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import Ajv2020 from "ajv/dist/2020";
import schema from "../../schema/plan.schema.json" with { type: "json" };
import type { PlanReport } from "../../src/report/plan-data.ts";
import { bookworm, bullseye, type Host, trixie } from "../support/hosts.ts";
import { capsuleCommand, run } from "../support/run.ts";

setDefaultTimeout(300_000);

const valid = new Ajv2020({ strict: true, allErrors: true, strictRequired: false }).compile(schema);

async function plan(flags: string[], program: string): Promise<PlanReport> {
  const words = capsuleCommand([...flags, "--json"], program);
  const { stdout, stderr, exitCode } = await run(words.map((word) => (word === "exec" ? "plan" : word)));
  expect({ stderr, exitCode }).toEqual({ stderr: "", exitCode: 0 });
  const report = JSON.parse(stdout);
  valid(report);
  expect(valid.errors ?? []).toEqual([]);
  return report;
}

describe.each([bullseye, bookworm, trixie])("with $words", ({ directory }: Host) => {
  test("a plan of glxinfo has the libraries that exec searches for, and says what is left to the runtime", async () => {
    const flags = ["--host", await directory(), "--mode", "in-process"];
    const { capsules, libraries } = await plan(flags, "glxinfo");
    const { stderr } = await run(capsuleCommand([...flags, "--trace", "search,plan"], "glxinfo", ["-h"]));
    const searched = Array.from(
      stderr.matchAll(/^capsule: search: (\S+): (.*?)(?:, for .*)?$/gm),
      ([, path, why]) => `${path}: ${why}`,
    );
    expect(searched).not.toEqual([]);
    const planned = capsules.flatMap(({ isolated, dependencies }) => [...isolated, ...dependencies]);
    const all = [...planned, ...(libraries ?? [])].map(({ path, why }) => `${path}: ${why}`);
    expect(all).toEqual(expect.arrayContaining(searched));
    const left = Array.from(stderr.matchAll(/^capsule: plan: (\S+): left to the runtime, /gm), ([, soname]) => soname);
    expect(capsules.flatMap((capsule) => capsule.left.map(({ soname }) => soname))).toEqual(
      expect.arrayContaining([...new Set(left)]),
    );
    expect(capsules[0]?.isolated.find(({ soname }) => soname === "libGL.so.1")).toMatchObject({
      ...{ when: "start", profiles: ["gl"], source: { kind: "default" }, treeSource: { kind: "flag", name: "--host" } },
    });
  });

  test("one of Python, which is attached, has all that it may open", async () => {
    const { mode, libraries, capsules } = await plan(["--host", await directory()], "/usr/bin/python3");
    expect(mode.name).toBe("attached");
    expect(libraries?.map(({ soname }) => soname)).toContain("libexpat.so.1");
    expect(new Set(capsules[0]?.isolated.map(({ when }) => when))).toEqual(new Set(["use"]));
    expect(capsules[0]?.environment.map(({ name }) => name)).toContain("LIBGL_DRIVERS_PATH");
  });
});
