import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { emptiedEnvironments } from "../../../src/plan/scripts.ts";

const inShell = (line: string): string[] => emptiedEnvironments("/bin/sh", ["-c", line]);

describe("a command empties the environment", () => {
  test.each([
    "env -i ./game",
    "/usr/bin/env -i ./game",
    "env - ./game",
    "env --ignore-environment ./game",
    "env --ignore-env ./game",
    "env -C . -i ./game",
    "env -u HOME -i ./game",
    "env -iu HOME ./game",
    "env --unset HOME -i ./game",
    'env -S "-i ./game"',
    "env -S-i ./game",
    "env '--split-string=-i ./game'",
    "exec env -i ./game",
    "exec -c ./game",
    "exec -a game -c ./game",
    "exec -cl ./game",
    "cd /srv; env -i ./game",
    "test -d x && env -i ./game",
    "x=$(env -i ./game)",
    "x=`env -i ./game`",
    "(env -i ./game)",
    "A=1 env -i ./game",
    "nohup env -i ./game &",
    "env \\\n -i ./game",
    "unset LD_LIBRARY_PATH LD_AUDIT",
    "sh -c 'env -i ./game'",
    'bash -ec "cd x; exec -c ./game"',
  ])("by %s", (line) => {
    expect(inShell(line)).toEqual([expect.stringContaining("the command empties the environment")]);
  });
});

describe("nothing is said of", () => {
  test.each([
    'echo "use env -i here"',
    "echo env -i",
    "# env -i ./game",
    "./game # env -i",
    "env A=1 ./game -i",
    "env ./game -i",
    "env -u LD_PRELOAD ./game",
    "env -C/srv/x-i ./game",
    "exec ./game -c",
    "exec -a c ./game",
    "unset LD_LIBRARY_PATH",
    "sed -i s/a/b/ x",
    "./envy -i",
    "'env -i' x",
    "env --ignore-signal=INT ./game",
    "./game -c 'env -i ./other'",
    "sh 'env -i ./game'",
  ])("%s", (line) => {
    expect(inShell(line)).toEqual([]);
  });
});

test("a script is told with its line, from where the command begins", () => {
  const directory = mkdtempSync(join(tmpdir(), "capsule-test-scripts-"));
  const path = join(directory, "start");
  writeFileSync(path, "#!/bin/sh\n# env -i\nx='a\nb'\nexec env -u HOME \\\n  -i ./game\n");
  expect(emptiedEnvironments(path, [])).toEqual([
    `"${path}" empties the environment (line 5, exec env -u HOME \\): what is started so has no isolated libraries`,
  ]);
  rmSync(directory, { recursive: true });
});

test("a command line of no shell is read as it is", () => {
  expect(emptiedEnvironments("/usr/bin/env", ["-i", "./game"])).toHaveLength(1);
  expect(emptiedEnvironments("/usr/bin/game", ["env -i"])).toEqual([]);
});
