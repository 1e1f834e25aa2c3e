// What the engine that is started reads first: what it is set to, and told if it cannot run capsule.

import { describe, expect, test } from "bun:test";
import { LONGEST_FIRST_LINE, launcher, notTheLibrary, refusal } from "../../scripts/launcher.ts";
import { ENGINE_SETTINGS } from "../../src/diagnostics/engine-settings.ts";

const OLDEST = "1.4.5";

describe("the first line", () => {
  const [line = ""] = launcher("./start.js").split("\n", 1);
  const set = line.split(" ").filter((word) => word.includes("=") && !word.startsWith("-"));

  test("has all settings that the server's Bun has, and no others", () => {
    const numbers = set.map((setting) => setting.replace(/,.*/, ""));
    expect(numbers).toEqual(Object.entries(ENGINE_SETTINGS).map(([name, value]) => `${name}=${value}`));
  });

  test("tells a Bun that does not know the youngest of them what is needed", () => {
    expect(set).toContain(`BUN_JSC_structureHeapSizeInKB=65536,needs-Bun-${OLDEST}`);
  });

  test("is read by the kernel as a whole", () => expect(line.length).toBeLessThanOrEqual(LONGEST_FIRST_LINE));
});

describe("what is told", () => {
  /** What an engine is told, or undefined if it may go on. */
  const told = (versions: { bun?: string; node: string }): string | undefined => {
    let message: string | undefined;
    const engine = versions.bun === undefined ? undefined : { semver: Bun.semver };
    const statement = new Function("process", "Bun", "refuse", refusal("do this", "refuse"));
    statement({ versions }, engine, (text: string) => {
      message = text;
    });
    return message;
  };
  const NEEDED = `capsule needs Bun ${OLDEST} or newer (npm install --global bun@${OLDEST})`;

  test.each(["1.3.14", "1.4.4", "1.4.5-canary.1", "0.9.0"])("to Bun %s", (bun) =>
    expect(told({ bun, node: "24.3.0" })).toBe(`Cannot do this in Bun ${bun}: ${NEEDED}`),
  );
  test("to Node", () => expect(told({ node: "20.0.0" })).toBe(`Cannot do this in Node 20.0.0: ${NEEDED}`));
  test.each([OLDEST, "1.4.10", "1.10.0", "2.0.0"])("nothing to Bun %s", (bun) =>
    expect(told({ bun, node: "24.3.0" })).toBeUndefined(),
  );
});

test("another engine finds each of the library's names before it is told", async () => {
  const names = Object.keys(await import("../../src/index.ts"));
  const text = notTheLibrary(names);
  expect(new Bun.Transpiler({ loader: "js" }).scan(text).exports.toSorted()).toEqual(names.toSorted());
});
