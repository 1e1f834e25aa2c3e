// What docs/commands.md says of settings files is so.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileLayer } from "../../../src/settings/file-layer.ts";
import { KEYS, NAMES } from "../../../src/settings/keys.ts";
import { repository } from "../../support/run.ts";

const readme = readFileSync(join(repository, "docs/commands.md"), "utf8");

test("its example is sound", () => {
  const [, example = ""] = /```toml\n(.*?)```/s.exec(readme) ?? [];
  const layer = fileLayer(example, "/games/maze/capsule.toml");
  expect(layer.said("profile")?.texts).toEqual(["gl", "overlay"]);
  expect(layer.hostOf("libvulkan.so.1")?.texts).toEqual(["/games/maze/trees/vulkan"]);
  expect(Object.keys(layer.profiles)).toEqual(["overlay"]);
});

test("its table has every setting, with the flag and the variable that say the same", () => {
  for (const name of NAMES) {
    const row = readme.split("\n").find((line) => line.startsWith(`| \`${name}\` `) && line.includes("`--"));
    expect(row).toContain(`\`--${name}\``);
    const { variable } = KEYS[name];
    if (variable !== undefined) expect(row).toContain(`\`${variable}\``);
  }
});
