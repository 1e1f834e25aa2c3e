// Host trees that are laid out otherwise: without /usr/lib and ld.so.cache, as NixOS is, and with directories that only
// the user knows.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { plan, spawn } from "../../src/index.ts";
import type { PlanReport } from "../../src/report/plan-data.ts";
import { expectLines } from "../support/expect.ts";
import { build } from "../support/fixtures.ts";
import { capsule, command } from "../support/run.ts";
import { FAILED, USAGE, Workshop } from "../support/workshop.ts";

const SONAME = "libhost.so.1";
const NAMES = [SONAME, "libprivate.so.1", "libdriver.so.0"] as const;

let workshop: Workshop;
let out: string;
let directory: string;
let count = 0;
beforeAll(async () => {
  workshop = await Workshop.open({});
  const colour = (name: string, text: string) => ({
    ...{ sources: ["colour.c"], flags: [`-DNAME=${name}_colour`, `-DTEXT="${text}"`] },
  });
  out = await build("hosting/a-host-without-usr-is-searched-where-it-has-its-drivers", [
    { path: "lib/libprivate.so.1", ...colour("private", "the tree's") },
    { path: "lib/libdriver.so.0", ...colour("driver", "the tree's") },
    { path: `lib/${SONAME}`, sources: ["host.c"], needs: ["lib/libprivate.so.1"] },
    { path: "program", sources: ["program.c"], needs: [`lib/${SONAME}`] },
  ]);
  directory = mkdtempSync(join(tmpdir(), "capsule-test-layouts-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** A tree with files, and with absolute links of its own ("-> target"); of libraries those of the fixture. */
function treeOf(libraries: string, more: Record<string, string> = {}): string {
  const tree = join(directory, `tree-${++count}`);
  for (const name of NAMES) {
    mkdirSync(join(tree, libraries), { recursive: true });
    copyFileSync(join(out, "lib", name), join(tree, libraries, name));
  }
  for (const [path, content] of Object.entries(more)) {
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    if (content.startsWith("-> ")) symlinkSync(content.slice("-> ".length), join(tree, path));
    else writeFileSync(join(tree, path), content);
  }
  return tree;
}

/** As NixOS has it: all in a store, and what is for programs in a directory of links. */
const nix = (place: string) =>
  treeOf("/nix/store/a-driver/lib", {
    ...Object.fromEntries(
      NAMES.map((name) => [`/nix/store/b-drivers/lib/${name}`, `-> /nix/store/a-driver/lib/${name}`]),
    ),
    "/nix/store/a-driver/share/data": "the store's",
    "/nix/store/b-drivers/share/data": "-> /nix/store/a-driver/share/data",
    "/nix/store/a-driver/share/drirc.d/data": "configuration",
    "/nix/store/b-drivers/share/drirc.d": "-> /nix/store/a-driver/share/drirc.d",
    [place]: "-> /nix/store/b-drivers",
  });

const start = (tree: string, ...flags: string[]) =>
  capsule(["--host", tree, "--isolate", SONAME, ...flags], join(out, "program"));

test("a tree like NixOS's is searched where it has its drivers, and its links are its own", async () => {
  expectLines(await start(nix("/run/opengl-driver")), [
    ...["private: the tree's", "driver: the tree's", "driver: the tree's"],
    ...["file: the store's", "file: the store's", "file: configuration"],
  ]);
});

test("one like Guix's, too", async () => {
  const { stdout, exitCode } = await start(nix("/run/current-system/profile"));
  expect(exitCode).toBe(0);
  expect(stdout).toContain("private: the tree's\ndriver: the tree's\n");
  expect(stdout).toEndWith("file: configuration\n");
});

describe("directories of the user's are searched", () => {
  const odd = () => treeOf("/opt/graphics/lib64", { "/opt/graphics/data/drirc.d/data": "configuration" });
  const flags = ["--host-libraries", "/opt/graphics/lib64", "--host-shares", "/opt/graphics/data"];
  const first = ["private: the tree's", "driver: the tree's"];

  test("by flags", async () => {
    const { stdout, stderr } = await start(odd(), ...flags);
    expect(stderr).toBe("");
    expect(stdout.split("\n").slice(0, 2)).toEqual(first);
    expect(stdout).toEndWith("file: configuration\n");
  });

  test("by variables, and by a file of settings", async () => {
    const tree = odd();
    const env = { CAPSULE_HOST_LIBRARIES: ":/opt/graphics/lib64", CAPSULE_HOST_SHARES: "/opt/graphics/data" };
    const file = workshop.fresh("settings.toml");
    writeFileSync(file, 'host-libraries = "/opt/graphics/lib64"\nhost-shares = ["/opt/graphics/data"]\n');
    const words = ["--host", tree, "--isolate", SONAME];
    const outcomes = [
      await capsule(words, join(out, "program"), [], { env }),
      await capsule([...words, "--settings", file], join(out, "program")),
    ];
    for (const { stdout } of outcomes) expect(stdout).toEndWith("file: configuration\n");
  });

  test("by a script", async () => {
    const host = {
      host: odd(),
      hostLibraries: [flags[1] ?? ""],
      hostShares: [flags[3] ?? ""],
      settings: false as const,
    };
    const running = spawn(join(out, "program"), [], { ...host, isolate: [SONAME], stdout: "pipe" });
    expect(await running.stdout?.text()).toEndWith("file: configuration\n");
    await running.exited;
    const [capsule] = plan(join(out, "program"), { ...host, isolate: [SONAME] }).capsules;
    expect(capsule).toMatchObject({ libraryDirectories: host.hostLibraries, shareDirectories: host.hostShares });
  });

  test("as paths of the machine, if the tree has them", async () => {
    const tree = odd();
    const { stdout } = await start(tree, "--host-libraries", join(tree, "/opt/graphics/lib64"));
    expect(stdout.split("\n").slice(0, 2)).toEqual(first);
  });

  test("before all others", async () => {
    const tree = treeOf("/usr/lib/x86_64-linux-gnu", { "/opt/lib/libprivate.so.1": "no library at all" });
    const outcome = await start(tree, "--host-libraries", "/opt/lib");
    workshop.expectRefusal(outcome, FAILED, join(tree, "/opt/lib/libprivate.so.1"));
  });

  test("and a plan names them, with what was found without being asked for", async () => {
    const tree = nix("/run/opengl-driver");
    const words = ["--json", "--host", tree, "--isolate", SONAME, "--host-libraries", "/nix/store/a-driver/lib"];
    const { stdout } = await command(["plan", ...words, join(out, "program")]);
    const { capsules, settings } = JSON.parse(stdout) as PlanReport;
    expect(capsules[0]).toMatchObject({
      libraryDirectories: ["/nix/store/a-driver/lib", "/run/opengl-driver/lib"],
      shareDirectories: ["/run/opengl-driver/share"],
    });
    expect(settings).toContainEqual(
      expect.objectContaining({ name: "host-libraries", value: ["/nix/store/a-driver/lib"] }),
    );
  });
});

test("a directory that no host tree has is refused, and one that is no path in a tree", async () => {
  const tree = nix("/run/opengl-driver");
  workshop.expectRefusal(await start(tree, "--host-libraries", "/no/such"), FAILED, '"/no/such" for libraries', tree);
  workshop.expectRefusal(
    await start(tree, "--host-shares", "share"),
    USAGE,
    '"share": a path in the host tree is needed',
  );
});
