// Files are written, and directories made, by lib/own-files.ts alone: what others read is whole then, and of a mode that
// no umask changes.

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Glob } from "bun";
import { repository } from "../support/run.ts";

const OWN_FILES = "lib/own-files.ts";

/** What writes by a name, or makes one: the files, besides OWN_FILES, that may import it from node:fs. */
const WRITERS: Readonly<Record<string, readonly string[]>> = {
  // The user's own file, which may be a pipe or a device.
  writeFileSync: ["src/commands/doctor.ts", "src/commands/graph.ts"],
  // Of links, and of directories of them that are whole by then.
  renameSync: ["src/directories/library-path.ts", "src/reexec/kept-directories.ts", "src/server/shims.ts"],
  // Of a file that was written whole.
  linkSync: ["src/server/shims.ts"],
  ...Object.fromEntries(
    ["mkdirSync", "mkdtempSync", "chmodSync", "appendFileSync", "copyFileSync", "cpSync", "truncateSync"].map(
      (name) => [name, []],
    ),
  ),
};

/** Ways around node:fs's synchronous functions, in any file. */
const OTHERS = /\bBun\.write\b|\.writer\(|createWriteStream|"(?:node:)?fs\/promises"|"fs"|\* as \w+ from "node:fs"/;

/** Descriptors that are written to are opened for that; the channel's disk space is reserved. */
const OPENERS: readonly string[] = ["src/server/channel-file.ts"];
const CREATES = /\bopenSync\([^)]*"(?:w|a|ax|wx|w\+|a\+|wx\+|ax\+)"|\bO_(?:CREAT|TRUNC|APPEND|WRONLY|TMPFILE)\b|"wx\+"/;

function faultsOf(file: string, text: string): string[] {
  if (file === OWN_FILES) return [];
  const imported = [...text.matchAll(/import \{([^}]*)\} from "node:fs"/g)].flatMap(
    ([, names = ""]) => names.match(/\w+/g) ?? [],
  );
  const faults = imported.filter((name) => Object.hasOwn(WRITERS, name) && !WRITERS[name]?.includes(file));
  const around = OTHERS.exec(text);
  if (around) faults.push(around[0]);
  const created = imported.includes("openSync") && !OPENERS.includes(file) ? CREATES.exec(text) : undefined;
  if (created) faults.push(created[0]);
  return faults.map((fault) => `${file}: ${fault}`);
}

test("nothing else in src and lib writes a file by its name, or makes a directory", () => {
  const files = [...new Glob("{src,lib}/**/*.ts").scanSync(repository)].filter((file) => !file.endsWith(".d.ts"));
  expect(files.length).toBeGreaterThan(100);
  expect(files.flatMap((file) => faultsOf(file, readFileSync(join(repository, file), "utf8")))).toEqual([]);
});

describe("what is found where it is wrong", () => {
  const wrong: [string, string][] = [
    ['import { writeFileSync } from "node:fs";', "writeFileSync"],
    ['import {\n  mkdirSync,\n  type Stats,\n} from "node:fs";', "mkdirSync"],
    ['import { renameSync as move } from "node:fs";', "renameSync"],
    ['import { writeFile } from "node:fs/promises";', '"node:fs/promises"'],
    ["await Bun.write(path, text);", "Bun.write"],
    ['import * as fs from "node:fs";', '* as fs from "node:fs"'],
    ['import { openSync } from "node:fs";\nopenSync(path, "w");', 'openSync(path, "w"'],
    ['import { openSync } from "node:fs";\nopenSync(path, constants.O_CREAT);', "O_CREAT"],
  ];
  test.each(wrong)("%s", (text, fault) => expect(faultsOf("src/any.ts", text)).toEqual([`src/any.ts: ${fault}`]));

  test("and reading is not", () => {
    const text = 'import { openSync, readFileSync } from "node:fs";\nopenSync(path, "r");\nopenSync(path, O_RDONLY);';
    expect(faultsOf("src/any.ts", text)).toEqual([]);
  });
});
