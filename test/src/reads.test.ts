// Files of others (of a tree, manifests, settings, scripts) are opened by lib/regular-file.ts alone, which reads no FIFO,
// no device, and no more than is needed.

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Glob } from "bun";
import { repository } from "../support/run.ts";

const DOOR = "lib/regular-file.ts";

/** What opens or reads a file: of node:fs, and of this project for what runs before that is loaded. */
const READERS =
  /^(open|openSync|openAsBlob|read|readSync|readv|readvSync|readFile|readFileSync|createReadStream|promises)$/;
const OTHERS = /\bBun\.(file|mmap)\(|\bnew SmallFiles\(|"(?:node:)?fs\/promises"|"fs"|\* as \w+ from "node:fs"/;

/** Files that read what nobody else can have put there. */
const OF_OUR_OWN = [
  // /proc
  ...["lib/link/run-here.ts", "lib/memory/maps.ts", "lib/process/pid-namespace.ts", "lib/process/stat.ts"],
  ...["lib/tree/hwcaps.ts", "src/attached/attachment.ts", "src/attached/clients.ts", "src/attached/lifetime.ts"],
  ...["src/attached/native-watch.ts", "src/diagnostics/limits.ts", "src/handover/descriptors.ts"],
  ...["src/command-line/called-by.ts", "src/handover/signals.ts"],
  ...["src/handover/threads.ts", "src/reexec/own-command.ts", "src/reexec/start-again.ts"],
  ...["src/commands/report-run.ts", "src/reexec/own-variables.ts"],
  // /dev/null
  ...["lib/process/descriptors.ts", "src/server/start-server.ts"],
  // What is written, the user's cache, and a run's private directory
  ...["lib/own-files.ts", "src/reexec/from-cache.ts", "src/server/channel-file.ts", "src/server/door.ts"],
  ...["src/server/launch-file.ts", "src/server/shims.ts"],
  // Descriptors of a child
  "src/library/launch.ts",
];

function isReader(text: string): boolean {
  const names = [...text.matchAll(/import \{([^}]*)\} from "node:fs"/g)].flatMap(
    ([, list = ""]) => list.match(/\w+/g) ?? [],
  );
  return names.some((name) => READERS.test(name)) || OTHERS.test(text);
}

test("nothing else in src and lib reads a file, but what is our own", () => {
  const files = [...new Glob("{src,lib}/**/*.ts").scanSync(repository)].filter((file) => !file.endsWith(".d.ts"));
  const readers = files.filter((file) => isReader(readFileSync(join(repository, file), "utf8")));
  expect(readers.sort()).toEqual([DOOR, ...OF_OUR_OWN].sort());
});

describe("a reader is found", () => {
  const readers = [
    'import {\n  closeSync,\n  openSync,\n} from "node:fs";',
    'import { readFileSync as text } from "node:fs";',
    'import { readFile } from "node:fs/promises";',
    'const text = await Bun.file("/x").text();',
    "const files = new SmallFiles(system);",
  ];
  test.each(readers)("%s", (text) => expect(isReader(text)).toBe(true));

  test("and what reads directories and links is none", () => {
    expect(isReader('import { readdirSync, readlinkSync, statSync } from "node:fs";')).toBe(false);
  });
});
