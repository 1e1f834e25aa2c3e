// A library of the host tree is upgraded, or goes away, while a launcher runs that starts programs: these get what is
// there when they start, by the names that they use, or are told.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Binary } from "../support/fixtures.ts";
import { lines } from "../support/lines.ts";
import { HOST, type Pair, pair, RUNTIME } from "../support/pair.ts";
import { capsule, native, type Outcome } from "../support/run.ts";

const BINDINGS = ["now", "lazy"] as const;
const LIBRARY = "libhost.so.1";
const directory = mkdtempSync(join(tmpdir(), "capsule-test-"));
afterAll(() => rmSync(directory, { recursive: true }));
let built: Pair;
let count = 0;

beforeAll(async () => {
  const release = (path: string, words: string, only: string): Binary => ({
    path: `${path}/${LIBRARY}`,
    sources: ["host.c"],
    // names in their order in a hash table, and so in the symbol table, differ between the releases
    flags: [`-DRELEASE="${words}"`, `-DONLY_HERE=${only}`],
  });
  const program = (name: string, from: string, of: string, binding: string): Binary => ({
    path: `${name}-${binding}`,
    sources: ["program.c"],
    needs: [`${from}/${LIBRARY}`],
    flags: [`-DFUNCTION=${of}`, `-Wl,-z,${binding}`],
  });
  built = await pair("process/a-launcher-starts-what-was-upgraded", [
    release(HOST, "old release", "zz_end"),
    release("upgrade", "new release", "aa_begin"),
    release(RUNTIME, "runtime", "zz_end"),
    ...BINDINGS.flatMap((binding) => [
      program("program", HOST, "who", binding),
      program("of-old", HOST, "zz_end", binding),
      program("of-new", "upgrade", "aa_begin", binding),
    ]),
    { path: "opens", sources: ["opens.c"] },
  ]);
});

/** What becomes of the library between two starts. */
const CHANGES = {
  upgraded: 'cp "$UPGRADE" "$HOST/fresh" && mv "$HOST/fresh" "$HOST/libhost.so.1"',
  removed: 'rm "$HOST/libhost.so.1"',
  "gone with its tree": 'rm -r "$TREE"/*',
} as const;

/** A shell runs a program, changes the tree, and runs these programs. A line each says how they end. */
async function launched(
  change: keyof typeof CHANGES,
  [first, ...others]: readonly [string, ...string[]],
  by: (script: string, host: string, env: Record<string, string>) => Promise<Outcome>,
): Promise<{ shown: string[]; said: string }> {
  const tree = join(directory, `tree-${count++}`);
  cpSync(built.host, tree, { recursive: true, verbatimSymlinks: true });
  const host = join(tree, HOST.slice(HOST.indexOf("/") + 1));
  const run = (name: string) => `"${built.program(name)}"; echo "ends with $?"`;
  const script = [run(first), CHANGES[change], ...others.map(run)].join("\n");
  const env = { UPGRADE: join(built.out, "upgrade", LIBRARY), HOST: host, TREE: tree };
  const outcome = await by(script, tree, env);
  expect(outcome).toMatchObject({ signal: null, exitCode: 0 });
  return { shown: lines(outcome.stdout), said: outcome.stderr };
}
const natively = (script: string, _: string, env: Record<string, string>) =>
  native("/bin/sh", ["-c", script], { env: { ...env, LD_LIBRARY_PATH: env.HOST ?? "" } });
const isolated = (script: string, tree: string, env: Record<string, string>) =>
  capsule(["--host", tree, "--isolate", LIBRARY], "/bin/sh", ["-c", script], {
    env: { ...env, LD_LIBRARY_PATH: built.runtime },
  });

for (const binding of BINDINGS) {
  test(`what both releases have is called by its name, bound ${binding}`, async () => {
    const programs = [`program-${binding}`, `program-${binding}`, "opens"] as const;
    const model = await launched("upgraded", programs, natively);
    expect(model.shown).toEqual([
      ...["who, of the old release", "ends with 0"],
      ...["who, of the new release", "ends with 0"],
      ...["who, of the new release", "ends with 0"],
    ]);
    expect(await launched("upgraded", programs, isolated)).toEqual(model);
  });

  test(`what is only in the new release is there when another program has been started, bound ${binding}`, async () => {
    const programs = [`program-${binding}`, `program-${binding}`, `of-new-${binding}`] as const;
    const model = await launched("upgraded", programs, natively);
    expect(model.shown.slice(4)).toEqual(["only here, of the new release", "ends with 0"]);
    expect(await launched("upgraded", programs, isolated)).toEqual(model);
  });

  test(`what is only in the old release is not called, and that is said, bound ${binding}`, async () => {
    const programs = [`of-old-${binding}`, `of-old-${binding}`, `of-old-${binding}`] as const;
    const model = await launched("upgraded", programs, natively);
    expect(model.shown).toEqual(["only here, of the old release", "ends with 0", "ends with 127", "ends with 127"]);
    const { shown, said } = await launched("upgraded", programs, isolated);
    expect(shown).toEqual(
      binding === "lazy"
        ? model.shown
        : ["only here, of the old release", "ends with 0", "ends with 125", "ends with 127"],
    );
    const [first = "", second = ""] = lines(said);
    if (binding === "now")
      expect(first).toMatch(
        /^capsule: Cannot link ".*\/of-old-now": a library was replaced since .*"zz_end" is not in it/,
      );
    for (const line of binding === "lazy" ? [first, second] : [second])
      expect(line).toMatch(/symbol lookup error: .*: undefined symbol: zz_end$/);
  });
}

for (const change of ["removed", "gone with its tree"] as const)
  test(`a library that is ${change} is not replaced by the runtime's`, async () => {
    const { shown, said } = await launched(change, ["program-now", "program-now", "opens"], isolated);
    const [, , , opened = ""] = shown;
    expect(shown).toEqual(["who, of the old release", "ends with 0", "ends with 125", opened, "ends with 0"]);
    expect(opened).toMatch(/^libhost\.so\.1: cannot open shared object file: No such file or directory$/);
    expect(lines(said)).toEqual([expect.stringMatching(/^capsule: Cannot find "libhost\.so\.1" in ".*": /)]);
  });
