// Where the parts of a program, or who runs it, may do different things.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  closeSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MARK } from "../../src/directories/private-directory.ts";
import { expectLines } from "../support/expect.ts";
import { lines } from "../support/lines.ts";
import { leftIn } from "../support/mode.ts";
import { HOST, hostAndProgram, Pair, pair, RUNTIME } from "../support/pair.ts";
import { capsuleCommand, repository, run, start } from "../support/run.ts";
import { appears } from "../support/serving.ts";

const NOBODY = 65534;
const isRoot = process.getuid?.() === 0;
/** Root may do everything, so others have to be somebody else. */
const asUser = isRoot ? ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"] : [];
const reachesAll = [process.execPath, join(repository, "src/main.ts"), tmpdir()].every(
  (path) => Bun.spawnSync([...asUser, "test", "-r", path]).exitCode === 0,
);

test.skipIf(!isRoot)(
  "a child that has dropped its rights cannot have its parent run anything (takes root)",
  async () => {
    const pages = await pair("process/a-child-cannot-have-its-parent-run-anything", [
      { path: `${RUNTIME}/libplugin.so.1`, sources: ["plugin.c"] },
      { path: `${HOST}/libdriver.so.1`, sources: ["plugin.c"] },
      ...hostAndProgram(),
    ]);
    const expected = ["opened by the parent: 300 of 300", "by a host library: 300 of 300"];
    expectLines(await pages.native(), expected);
    expectLines(await pages.capsule([], { timeout: 30_000 }), expected);
  },
);

describe.skipIf(!reachesAll)("directories that are closed to the user (takes one who can read Bun and capsule)", () => {
  let place: string;
  let closed: Pair;
  const home = () => join(place, "home");

  beforeAll(async () => {
    const plugin = (path: string, number: number) => ({ path, sources: ["plugin.c"], flags: [`-DNUMBER=${number}`] });
    const built = await pair("process/somebody-elses-directories-do-no-harm", [
      plugin(`${RUNTIME}/libplugin.so.1`, 1),
      plugin(`${HOST}/libdriver.so.1`, 2),
      ...hostAndProgram(),
    ]);
    // where everybody can read it
    place = mkdtempSync(join(tmpdir(), "capsule-test-"));
    chmodSync(place, 0o755);
    cpSync(built.out, place, { recursive: true, verbatimSymlinks: true });
    mkdirSync(home());
    chmodSync(home(), 0o777);
    closed = new Pair(place, ["libhost.so.1"]);
  });
  afterAll(() => rmSync(place, { recursive: true }));

  const variables = (added: Record<string, string>) => ({ HOME: home(), XDG_CACHE_HOME: home(), ...added });
  const nativeEnv = () => variables({ LD_LIBRARY_PATH: `${join(place, HOST)}:${closed.runtime}` });
  const capsuleEnv = (added: Record<string, string> = {}) => variables({ LD_LIBRARY_PATH: closed.runtime, ...added });

  /** What the program prints that opens libraries after capsule could not tidy up, and has said so. */
  async function openedAfterTidying(TMPDIR: string): Promise<string[]> {
    const fifo = join(place, "go");
    expect(Bun.spawnSync(["mkfifo", "-m", "666", fifo]).exitCode).toBe(0);
    const env = capsuleEnv({ TMPDIR });
    const command = capsuleCommand([...closed.flags(), "--trace", "plan"], closed.program(), ["open", fifo], env);
    const words = ["sh", "-c", 'exec "$@" 2>&1', "sh"];
    try {
      await using child = start([...asUser, ...words, ...command], { env });
      await child.line((line) => line.includes("not removed: EACCES"));
      // Both ends, so that it does not wait for the program.
      const go = openSync(fifo, "r+");
      const outcome = await child.end();
      closeSync(go);
      expect(outcome).toMatchObject({ exitCode: 0, signal: null });
      return lines(outcome.stdout).filter((line) => line.startsWith("libraries: "));
    } finally {
      rmSync(fifo);
    }
  }

  const expected = ["libraries: 1 2"];

  test("natively libraries can be opened", async () => {
    const argv = [...asUser, closed.program(), "open", "/dev/null"];
    expectLines(await run(argv, { env: nativeEnv() }), expected);
  });

  test("and in the capsule, where nobody may list TMPDIR", async () => {
    const directory = join(place, "unlisted");
    mkdirSync(directory);
    if (isRoot) chownSync(directory, NOBODY, NOBODY);
    chmodSync(directory, 0o300);
    expect(await openedAfterTidying(directory)).toEqual(expected);
    chmodSync(directory, 0o700);
    expect(await leftIn(directory)).toEqual([]);
  });

  test("and where TMPDIR has an earlier run's directory that cannot be removed", async () => {
    const directory = join(place, "littered");
    const stale = join(directory, "capsule-stale0");
    mkdirSync(stale, { recursive: true });
    if (isRoot) chownSync(directory, NOBODY, NOBODY);
    chmodSync(directory, 0o700);
    writeFileSync(join(stale, MARK), "");
    // A process that cannot be: beyond the kernel's own limit of 2^22.
    writeFileSync(join(stale, "owner"), `${readlinkSync("/proc/self/ns/pid")} ${2 ** 22 + 1} 1\n`);
    if (isRoot) for (const path of [stale, join(stale, "owner")]) chownSync(path, NOBODY, NOBODY);
    chmodSync(stale, 0o500);
    expect(await openedAfterTidying(directory)).toEqual(expected);
    await appears(directory, () => readdirSync(directory).length === 1);
    expect(readdirSync(directory)).toEqual(["capsule-stale0"]);
    chmodSync(stale, 0o700);
  });

  test("and a host library finds the machine's file, where its tree's directory cannot be entered", async () => {
    const [directory, name] = readableFileBelowEtc();
    const path = join(directory, name);
    const shut = join(closed.host, directory);
    mkdirSync(shut, { recursive: true });
    writeFileSync(join(shut, name), "the tree's, and of another length than any file of the machine's has\n");
    chmodSync(shut, 0o000);
    const found = [`stat: ${statSync(path).size} bytes`, "fopen: opened"];
    expectLines(await run([...asUser, closed.program(), "look", path], { env: nativeEnv() }), found);
    const env = capsuleEnv();
    const command = capsuleCommand(closed.flags(), closed.program(), ["look", path], env);
    expectLines(await run([...asUser, ...command], { env }), found);
    chmodSync(shut, 0o700);
  });
});

/** A directory below /etc and a file there that everybody can read. */
function readableFileBelowEtc(): [directory: string, name: string] {
  for (const entry of readdirSync("/etc", { withFileTypes: true })) {
    const directory = join("/etc", entry.name);
    if (!entry.isDirectory() || (statSync(directory).mode & 0o005) !== 0o005) continue;
    const name = readdirSync(directory, { withFileTypes: true }).find(
      (file) => file.isFile() && statSync(join(directory, file.name)).mode & 0o004,
    )?.name;
    if (name !== undefined) return [directory, name];
  }
  throw new Error("Nobody may read anything below a directory of /etc");
}
