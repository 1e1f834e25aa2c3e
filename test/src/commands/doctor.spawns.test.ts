// `capsule doctor`: what it says, and by which exit code.

import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import type { DoctorReport } from "../../../src/doctor/report.ts";
import { SmallTree } from "../../lib/tree/small-tree.ts";
import { command, type Outcome } from "../../support/run.ts";

const places = new SmallTree({ "/lib64/libGL.so.1": { soname: "libGL.so.1", needed: ["libnone.so.1"] } });
afterAll(() => places[Symbol.dispose]());

/** On a machine whose display nobody has to do with. */
const doctor = (args: string[], env: Record<string, string> = {}): Promise<Outcome> =>
  command(["doctor", ...args], { env: { DISPLAY: "", WAYLAND_DISPLAY: "", ...env } });

const dataOf = ({ stdout }: Outcome) => JSON.parse(stdout) as DoctorReport;
const levelsOf = (report: DoctorReport, check: string) =>
  report.findings.filter((finding) => finding.check === check).map(({ level }) => level);

describe("the exit code", () => {
  test("is 0 where nothing hinders, although something may", async () => {
    const { stdout, stderr, exitCode } = await doctor(["--isolate", "libz.so.1", "/bin/true"]);
    expect([stderr, exitCode]).toEqual(["", 0]);
    expect(stdout).toMatch(/^ {2}! neither DISPLAY nor WAYLAND_DISPLAY is set.*\n {4}→ start it in/m);
    expect(stdout).toMatch(/^Nothing hinders, .* may: \d+ things were looked at\.\n$/m);
  });

  test("is 1 where something does", async () => {
    const outcome = await doctor(["--host", places.directory]);
    expect(outcome).toMatchObject({ stderr: "", exitCode: 1 });
    expect(outcome.stdout).toMatch(
      /^ {2}✘ .*libGL\.so\.1" needs "libnone\.so\.1", which .* does not have\n {4}→ install/m,
    );
    expect(outcome.stdout).toMatch(/^(One thing hinders|\d+ things hinder)/m);
  });

  test("is 2 for a wrong command line", async () => {
    expect(await doctor(["--profile", "none"])).toMatchObject({ stdout: "", exitCode: 2 });
  });
});

test("what is fine is shown when it is asked for", async () => {
  const args = ["--isolate", "libz.so.1"];
  expect((await doctor(args)).stdout).not.toContain("✔");
  expect((await doctor([...args, "-v"])).stdout).toMatch(/^Machine\n {2}✔ Linux \d/m);
});

test("--json has all of it, and no colours are in a pipe", async () => {
  const outcome = await doctor(["--isolate", "libz.so.1", "--json"], { FORCE_COLOR: "1" });
  expect(outcome.exitCode).toBe(0);
  const report = dataOf(outcome);
  expect(report.hinders).toBe(false);
  expect(levelsOf(report, "kernel")).toEqual(["fine"]);
  expect(levelsOf(report, "display")).toEqual(["warning"]);
  for (const finding of report.findings)
    expect(Object.keys(finding).join()).toMatch(/^group,check,level,text(,advice)?$/);
  expect((await doctor(["--isolate", "libz.so.1"])).stdout).not.toContain("\x1b");
});

describe("of a tree that cannot be used", () => {
  test.each([
    ["the host's directory", ["--host", "/no/such/tree"]],
    ["the runtime's", ["--runtime", "/no/such/tree"]],
    ["a library that was named", ["--isolate", "libnone.so.1"]],
  ])("%s is a finding", async (_, args) => {
    const outcome = await doctor([...args, "--json"]);
    expect(outcome.exitCode).toBe(1);
    expect(levelsOf(dataOf(outcome), "trees")).toEqual(["hindrance"]);
  });

  test("one in which a library leads in a circle is told, and all the rest is looked at", async () => {
    places.add("/circle/lib64/libGL.so.1", "-> libGL.so.1");
    const outcome = await doctor(["--host", places.path("/circle"), "--json"]);
    expect(outcome).toMatchObject({ stderr: "", exitCode: 1 });
    const report = dataOf(outcome);
    expect(levelsOf(report, "trees")).toContain("hindrance");
    expect(levelsOf(report, "glibc")).not.toEqual([]);
  });

  test("an empty directory is none", async () => {
    mkdirSync(places.path("empty"));
    const outcome = await doctor(["--host", places.path("empty")]);
    expect(outcome.exitCode).toBe(1);
    expect(outcome.stdout).toContain("has none of the libraries that are to be isolated");
  });
});

describe("of a program it says", () => {
  const program = async (name: string, args: string[] = []) => {
    const outcome = await doctor(["--json", "--isolate", "libz.so.1", ...args, name]);
    return { outcome, report: dataOf(outcome) };
  };

  test("in which mode it would run", async () => {
    const { outcome, report } = await program("true");
    expect(outcome.exitCode).toBe(0);
    expect(report.findings.find(({ check }) => check === "mode")?.text).toBe("in-process, if nothing forbids it");
    places.add("/script", Buffer.from("#!/bin/sh\n"));
    chmodSync(places.path("/script"), 0o755);
    const script = await program(places.path("/script"));
    expect(script.report.findings.find(({ check }) => check === "mode")?.text).toBe("attached, as it is a script");
  });

  test.each([
    ["that it is not there", "/no/such/program"],
    ["that PATH does not have it", "no-such-program"],
    ["that it is a directory", "/usr"],
    ["that it is empty", ""],
  ])("%s", async (_, name) => {
    const { outcome, report } = await program(name);
    expect(outcome.exitCode).toBe(1);
    expect(levelsOf(report, "program")).toEqual(["hindrance"]);
  });

  test("that it is a FIFO, without waiting for a writer", async () => {
    const path = places.path("/fifo");
    expect(Bun.spawnSync(["mkfifo", "-m", "755", path]).success).toBe(true);
    const { report } = await program(path);
    expect(levelsOf(report, "program")).toEqual(["hindrance"]);
  });
});

describe("of the places for files", () => {
  test("TMPDIR has to be there", async () => {
    const report = dataOf(await doctor(["--json", "--isolate", "libz.so.1"], { TMPDIR: "/no/such" }));
    expect(levelsOf(report, "temporary-files")).toEqual(["hindrance"]);
  });

  test("a cache that cannot be written is a pity", async () => {
    const env = { XDG_CACHE_HOME: "/proc/self" };
    const report = dataOf(await doctor(["--json", "--isolate", "libz.so.1"], env));
    expect(levelsOf(report, "cache")).toEqual(["warning"]);
  });
});

test("names with control characters reach no terminal as they are", async () => {
  places.add("/evil/lib64/libGL.so.1", { soname: "libGL.so.1", needed: ["lib\x1b[31mred\n.so"] });
  const { stdout } = await doctor(["--host", places.path("/evil")]);
  expect(stdout).toContain("lib\\x1b[31mred\\x0a.so");
  const json = (await doctor(["--json", "--host", places.path("/evil")])).stdout;
  expect(json).toContain("lib\\u001b[31mred\\n.so");
});

describe("a report for a bug", () => {
  const file = places.path("/report.md");
  const args = ["--isolate", "libz.so.1", "--report", file];

  test("has versions, findings, the plan, the trace of a run and the maps at its death, and no secrets", async () => {
    const HOME = places.path("/home/somebody");
    mkdirSync(HOME, { recursive: true });
    writeFileSync(`${HOME}/game`, `#!/bin/sh\necho "out $1"; echo '\`err\`' >&2; kill -SEGV $$\n`, { mode: 0o755 });
    const env = { HOME, SECRET: "hunter2", MESA_DEBUG: "1", XDG_CACHE_HOME: places.path("/home/somebody/cache") };
    const { stdout, stderr, exitCode } = await doctor([...args, `${HOME}/game`, "--", "-x"], env);
    expect(exitCode).toBe(0);
    expect(stdout).toEndWith("out -x\n");
    expect(stderr).toContain("`err`\n");
    expect(stderr).not.toContain("capsule: plan: ");
    const report = readFileSync(file, "utf8");
    expect(report.match(/^## .*/gm)).toEqual([
      "## What was run",
      "## Versions",
      expect.stringMatching(/^## Variables \(\d+ of \d+\)$/),
      ...["## Doctor", "## Plan", "## End", "## Trace, and standard error", "## Maps, as they were last"],
    ]);
    expect(report).toContain("\ncapsule exec --isolate=libz.so.1 -- ~/game -x\n");
    for (const text of ["\nMESA_DEBUG=1\n", "\nSIGSEGV\n", "\ncapsule: plan: ", "`err`", "libc.so.6\n", "  script of "])
      expect(report).toContain(text);
    for (const text of ["hunter2", "SECRET", HOME]) expect(report).not.toContain(text);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  test("without a program has no run, and arguments are for one", async () => {
    expect((await doctor(args)).exitCode).toBe(0);
    expect(readFileSync(file, "utf8")).not.toMatch(/^## (Plan|End|Maps)/m);
    expect(await doctor(["true", "--", "-x"])).toMatchObject({ stdout: "", exitCode: 2 });
    const { stderr, exitCode } = await doctor(["--report", "/no/such/directory/report", "true"]);
    expect([stderr, exitCode]).toEqual([expect.stringContaining('Cannot open "/no/such/directory/report"'), 125]);
  });
});
