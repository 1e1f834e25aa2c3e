// Files of settings: which are read, which are believed, and what stops nobody.

import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, lchownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { UsageError } from "../../../src/diagnostics/errors.ts";
import { readSettingsFiles } from "../../../src/settings/file.ts";
import { Scratch } from "../../lib/elf/scratch.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

/** A program in a directory of its own. */
function game(): { program: string; file: string; directory: string } {
  const directory = mkdtempSync(scratch.path("game-"));
  const program = join(directory, "program");
  writeFileSync(program, "");
  return { program, file: join(directory, "capsule.toml"), directory };
}
const read = (program: string) => readSettingsFiles(undefined, program, {});
const MODE = 'mode = "attached"';

function write(path: string, text: string | Uint8Array, mode = 0o644): void {
  writeFileSync(path, text);
  chmodSync(path, mode);
}

describe("files are looked for", () => {
  test("beside the program and in the user's configuration, in this order", () => {
    const files = (environment: Record<string, string>) =>
      readSettingsFiles(undefined, "/usr/bin/env", environment).paths;
    const beside = "/usr/bin/capsule.toml";
    expect(files({ HOME: "/nobody" })).toEqual([beside, "/nobody/.config/capsule/capsule.toml"]);
    expect(files({ HOME: "/nobody", XDG_CONFIG_HOME: "/conf" })).toEqual([beside, "/conf/capsule/capsule.toml"]);
    expect(files({ XDG_CONFIG_HOME: "relative", HOME: "" })).toEqual([beside]);
  });

  test("and may be missing, but for one that is named", () => {
    expect(read(game().program).layers).toEqual([]);
    for (const name of ["/no/such/file", ""])
      expect(() => readSettingsFiles(name, undefined, {})).toThrow(
        `Cannot use "${name}": there is no such file, or it cannot be reached`,
      );
  });
});

describe("an error, and nobody waits, for", () => {
  const cases: [string, (file: string) => void, string][] = [
    ["a directory", (file) => mkdirSync(file), "it is a directory"],
    ["a FIFO", (file) => void Bun.spawnSync(["mkfifo", "-m", "644", file]), "it is not a regular file"],
    ["a loop", (file) => symlinkSync("capsule.toml", file), "its symbolic links loop"],
    ["what is not UTF-8", (file) => write(file, Uint8Array.of(0x61, 0xff)), "it is not UTF-8"],
    ["what has no end", (file) => write(file, new Uint8Array((1 << 20) + 1)), "1048577 bytes"],
    ["what is not TOML", (file) => write(file, "a = 1\nb = \n"), "line 2, column 5: invalid value"],
  ];
  test.each(cases)("%s", (_, make, message) => {
    const { program, file } = game();
    make(file);
    expect(() => read(program)).toThrow(UsageError);
    expect(() => read(program)).toThrow(`Cannot use "${file}": ${message}`.slice(0, -message.length));
    expect(() => read(program)).toThrow(message);
  });
});

const isRoot = process.getuid?.() === 0;
const SOMEBODY = 65533;

describe("a file beside a program is passed over, and the user told,", () => {
  const expectPassedOver = (program: string, file: string) => {
    const { layers, warnings } = read(program);
    expect(layers).toEqual([]);
    expect(warnings).toEqual([
      `"${file}" is passed over, as somebody else owns it or may write to it (--settings uses it)`,
    ]);
  };

  test("where others may write to it", () => {
    const { program, file } = game();
    write(file, MODE, 0o664);
    expectPassedOver(program, file);
    // The user has named it.
    expect(readSettingsFiles(file, program, {}).layers).toHaveLength(1);
  });

  test.skipIf(!isRoot)("where somebody else owns it", () => {
    const { program, file } = game();
    write(file, MODE);
    chownSync(file, SOMEBODY, SOMEBODY);
    expectPassedOver(program, file);
    // They may stop nobody either.
    write(file, "=");
    chownSync(file, SOMEBODY, SOMEBODY);
    expectPassedOver(program, file);
  });

  test.skipIf(!isRoot)("where somebody else's link leads to it, or to nothing that can be read", () => {
    const { program, file } = game();
    for (const target of [scratch.write("own.toml", MODE), "capsule.toml"]) {
      symlinkSync(target, file);
      lchownSync(file, SOMEBODY, SOMEBODY);
      expectPassedOver(program, file);
      rmSync(file);
    }
  });

  test.skipIf(!isRoot)("but not where the program is that owner's, too, unless others may put files there", () => {
    const { program, file, directory } = game();
    write(file, MODE);
    for (const path of [program, file]) chownSync(path, SOMEBODY, SOMEBODY);
    expect(read(program).layers).toHaveLength(1);
    chmodSync(directory, 0o1777);
    expectPassedOver(program, file);
  });
});

test("the user's own file is passed over where it is somebody else's", () => {
  const config = mkdtempSync(scratch.path("config-"));
  mkdirSync(join(config, "capsule"));
  write(join(config, "capsule", "capsule.toml"), MODE, 0o646);
  expect(readSettingsFiles(undefined, undefined, { XDG_CONFIG_HOME: config })).toMatchObject({ layers: [] });
});
