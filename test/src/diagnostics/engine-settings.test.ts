// The command's first line, which the kernel reads, and the settings of the server's Bun are the same.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ENGINE_SETTINGS } from "../../../src/diagnostics/engine-settings.ts";
import { repository } from "../../support/run.ts";

test("main.ts's first line has all of them and no others", () => {
  const [line = ""] = readFileSync(join(repository, "src/main.ts"), "utf8").split("\n", 1);
  expect(line.split(" ").filter((word) => word.includes("=") && !word.startsWith("-"))).toEqual(
    Object.entries(ENGINE_SETTINGS).map(([name, value]) => `${name}=${value}`),
  );
  // Linux reads so many bytes of it.
  expect(line.length).toBeLessThan(256);
});
