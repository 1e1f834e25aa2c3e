// The manual page: has all that --help has, and is sound roff.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { manPage } from "../../scripts/man.ts";
import { allCommands } from "../../src/commands/all.ts";
import { rootCommand } from "../../src/commands/root.ts";
import { run } from "../support/run.ts";

const directory = mkdtempSync(join(tmpdir(), "capsule-man-"));
const path = join(directory, "capsule.1");
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const write = (page: string) => Bun.write(path, page);
/** As it is shown, in lines that are long enough for anything. */
const shown = async (): Promise<string> =>
  (await run(["mandoc", "-T", "utf8", "-O", "width=500", path])).stdout
    .replace(/.[\b]/g, "")
    .replace(/(?<=\S) +/g, " ");

const page = manPage(rootCommand(allCommands()), "1.2.3", "2026-01-31");

test("names every command, with its description, arguments and options", async () => {
  await write(page);
  const text = await shown();
  const { commands } = rootCommand(allCommands());
  expect(commands.length).toBeGreaterThan(3);
  for (const command of commands) {
    const [, section = ""] = text.split(`\nCAPSULE ${command.name().toUpperCase()}\n`);
    const own = section.split(/\n(?=[A-Z])/, 1)[0] ?? "";
    expect(own).toContain(command.description());
    for (const { flags, description } of command.options) {
      const shown = flags.replace(/<(.*)>/, (_, name) => name.toUpperCase());
      expect(own).toContain(shown.replace(/ \[(.*)\]/, (_, name) => `[=${name.toUpperCase()}]`));
      expect(own).toContain(description);
    }
  }
});

test("has what stands behind the options in --help", async () => {
  await write(page);
  const text = await shown();
  for (const words of [
    "CAPSULE_MOUNT_NAMESPACE",
    "in a process of its own",
    "Exit status: the program's own",
    "VA-API",
  ])
    expect(text).toContain(words);
});

describe("is sound for", () => {
  test.each([
    ["mandoc", ["mandoc", "-T", "lint"]],
    ["groff", ["groff", "-man", "-ww", "-b", "-z"]],
  ])("%s", async (_, command) => {
    await write(page);
    expect(await run([...command, path])).toMatchObject({ stdout: "", stderr: "", exitCode: 0 });
  });
});

test("shows text as it is, also where that looks like roff", async () => {
  const odd = new Command("capsule").description("x");
  const description = `.SH no request\\fB, 'nor this ${"a ".repeat(60)}.so /etc/passwd 'br`;
  odd.addCommand(new Command("odd").description(description).option("--x", "'tis .all \\(dq-text"));
  await write(manPage(odd, "1", "2026-01-31"));
  const text = (await shown()).replace(/\s+/g, " ");
  expect(text).toContain(description);
  expect(text).toContain("'tis .all \\(dq-text");
});
