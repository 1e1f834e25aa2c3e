// The command as one executable, and launchers that have been compiled to one: in a root directory with nothing beside
// them, read-only, on trees of other releases.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import metadata from "../../package.json" with { type: "json" };
import { Display } from "../support/display.ts";
import { EmptyRoot } from "../support/empty-root.ts";
import { mesaVersion } from "../support/hosts.ts";
import { lines } from "../support/lines.ts";
import { repository, run } from "../support/run.ts";
import { tree } from "../support/trees.ts";

setDefaultTimeout(600_000);

const scratch = mkdtempSync(join(tmpdir(), "capsule-executable-"));
const X11 = "/tmp/.X11-unix";
const NOBODY = 65534;
/** Mesa has something to say about a home where it cannot write. */
const WITHOUT_CACHE = { MESA_GLSL_CACHE_DISABLE: "true", MESA_SHADER_CACHE_DISABLE: "true" };
let root: EmptyRoot;
let display: Display;
let older: string;
let newer: string;

/** The sources elsewhere, where nothing else builds dist/ meanwhile. */
const copy = join(scratch, "copy");

beforeAll(async () => {
  const names = ["src", "lib", "scripts", "examples", "package.json", "tsconfig.json", "LICENSE"];
  mkdirSync(join(copy, "dist"), { recursive: true });
  await mustRun(["cp", "-r", "--", ...names, copy]);
  // Not as a link: where packages are makes a difference.
  for (const name of [...Object.keys(metadata.dependencies), "@viz-js/viz"]) {
    const directory = join(copy, "node_modules", name);
    mkdirSync(directory, { recursive: true });
    await mustRun(["cp", "-rT", "--", join(repository, "node_modules", name), directory]);
  }
  await mustRun([process.execPath, "scripts/build.ts"], copy);
  // Also for another user.
  chmodSync(scratch, 0o755);
  root = await EmptyRoot.make(join(scratch, "root"));
  await root.add(Bun.which("glxinfo") ?? "", "/usr/bin/glxinfo");
  await root.add("/usr/bin/env", "/usr/bin/env");
  [display, older, newer] = [await Display.start(), await tree("bullseye"), await tree("trixie")];
});
afterAll(async () => {
  await display[Symbol.asyncDispose]();
  rmSync(scratch, { recursive: true });
});

async function mustRun(command: string[], cwd = repository): Promise<void> {
  const { exitCode, stdout, stderr } = await run(command, { cwd, timeout: 240_000 });
  if (exitCode !== 0) throw new Error(`${command.join(" ")} ended with ${exitCode}\n${stdout}${stderr}`);
}

const inRoot = (command: string[], { user = 0, env = {} }: { user?: number; env?: Record<string, string> } = {}) =>
  root.run(command, [older, newer, X11], {
    user,
    env: { ...env, ...WITHOUT_CACHE, DISPLAY: display.env.DISPLAY },
    timeout: 60_000,
  });

/** On which trees, and as whom. */
const CASES = [
  ["older", 0],
  ["newer", 0],
  ["older", NOBODY],
  ["newer", NOBODY],
] as const;
const treeOf = (age: "older" | "newer") => (age === "older" ? older : newer);
const mesaOf = (age: "older" | "newer") => (age === "older" ? "20.3." : "25.0.");

describe("capsule as one executable", () => {
  const file = join(scratch, "capsule");
  const capsule = (...words: string[]) => ["/usr/bin/capsule", ...words];

  beforeAll(async () => {
    await mustRun([process.execPath, "scripts/binary.ts", file]);
    await root.add(file, "/usr/bin/capsule");
  });

  test("has the same bytes when it is made elsewhere, and knows nothing of where that was", async () => {
    const other = join(scratch, "once-more", "capsule");
    await mustRun([process.execPath, "scripts/binary.ts", other], copy);
    const [one, two] = [readFileSync(file), readFileSync(other)];
    expect(one.equals(two)).toBe(true);
    expect([repository, copy].filter((path) => two.includes(path))).toEqual([]);
  });

  for (const mode of ["in-process", "attached"])
    describe(mode, () => {
      test.each(CASES)("runs glxinfo on the Mesa of an %s release, as user %d", async (age, user) => {
        const command = capsule("exec", "--mode", mode, "--host", treeOf(age), "glxinfo", "-B");
        const outcome = await inRoot(command, { user });
        expect(outcome).toMatchObject({ stderr: "", exitCode: 0 });
        expect(mesaVersion(outcome.stdout)).toStartWith(mesaOf(age));
      });

      test("gives the program the user's variables, and none of its own", async () => {
        const env = { BUN_JSC_useDFGJIT: "1", BUN_OPTIONS: "--smol" };
        const { stdout } = await inRoot(capsule("exec", "--mode", mode, "--host", newer, "env"), { env });
        const found = lines(stdout).filter((line) => /BUN|CAPSULE|MIMALLOC/.test(line));
        expect(found.sort()).toEqual(Object.entries(env).map(([name, value]) => `${name}=${value}`));
      });
    });

  test.each([
    ["doctor", "glxinfo"],
    ["plan", "glxinfo"],
    ["tree", "glxinfo"],
    ["graph", "glxinfo", "-o", "/tmp/graph.svg"],
    ["link", "--explain=html", "/usr/bin/env"],
    ["completions", "zsh"],
  ] as string[][])("has %s", async (...words: string[]) => {
    expect(await inRoot(capsule(...words))).toMatchObject({ stderr: "", exitCode: 0 });
  });

  test("runs itself for a bug report", async () => {
    const { stderr, exitCode } = await inRoot(capsule("doctor", "--report", "/tmp/report.txt", "env"));
    expect(stderr).toContain("the report is in");
    expect(exitCode).toBe(0);
  });

  test("reads settings", async () => {
    writeFileSync(join(root.path, "usr/bin/capsule.toml"), `host = "${older}"\n`);
    const { stdout } = await inRoot(capsule("exec", "glxinfo", "-B"));
    rmSync(join(root.path, "usr/bin/capsule.toml"));
    expect(mesaVersion(stdout)).toStartWith(mesaOf("older"));
  });
});

test("as a Debian package, it is installed with its page and completions, and runs", async () => {
  const clean = await EmptyRoot.make(join(scratch, "clean"));
  await clean.add("/usr/bin/env", "/usr/bin/env");
  for (const name of ["info", "updates"]) mkdirSync(join(clean.path, "var/lib/dpkg", name), { recursive: true });
  writeFileSync(join(clean.path, "var/lib/dpkg/status"), "");
  const deb = join(scratch, "capsule.deb");
  await mustRun([process.execPath, "scripts/binary.ts"], copy);
  await mustRun([process.execPath, "scripts/deb.ts", deb], copy);
  // glibc is there, but not as a package.
  await mustRun(["dpkg", `--root=${clean.path}`, "--force-depends", "--force-not-root", "-i", deb]);
  for (const file of [
    "usr/share/man/man1/capsule.1.gz",
    "usr/share/bash-completion/completions/capsule",
    "usr/share/zsh/vendor-completions/_capsule",
    "usr/share/fish/vendor_completions.d/capsule.fish",
    "usr/share/doc/capsule/copyright",
  ])
    expect(Bun.file(join(clean.path, file)).size).toBeGreaterThan(0);
  for (const mode of ["in-process", "attached"]) {
    const command = ["/usr/bin/capsule", "exec", "--mode", mode, "--host", newer, "/usr/bin/env", "A=1"];
    const { exitCode, stderr } = await clean.run(command, [newer], { user: NOBODY, timeout: 60_000 });
    expect([mode, exitCode, stderr]).toEqual([mode, 0, ""]);
  }
});

describe("a launcher that bun build has compiled", () => {
  /** How it comes to be a file: what Bun is called with, one after the other. */
  const WAYS: readonly (readonly [words: string, ...commands: string[][]])[] = [
    ["compiled", ["build", "--compile", "examples/launcher.ts", "--outfile", "launcher"]],
    [
      "bundled, then compiled",
      ["build", "--target=bun", "examples/launcher.ts", "--outfile", "bundle.js"],
      ["build", "--compile", "--minify", "bundle.js", "--outfile", "launcher"],
    ],
    [
      "compiled with bytecode",
      ["build", "--compile", "--bytecode", "--format=esm", "examples/launcher.ts", "--outfile", "launcher"],
    ],
  ];

  describe.each(WAYS)("%s", (words, ...commands) => {
    beforeAll(async () => {
      for (const words of commands) await mustRun([process.execPath, ...words], copy);
      await root.add(join(copy, "launcher"), "/usr/bin/launcher");
    });

    // How it comes to be makes no difference to trees and users.
    test.each(words === "compiled" ? CASES : CASES.slice(-1))(
      "starts a program on an %s tree, as user %d",
      async (age, user) => {
        const env = { HOST_TREE: treeOf(age) };
        const { stdout, stderr, exitCode } = await inRoot(["/usr/bin/launcher", "glxinfo", "-B"], { user, env });
        expect(mesaVersion(stdout)).toStartWith(mesaOf(age));
        expect(lines(stderr).at(-1)).toBe("glxinfo has ended with exit code 0");
        expect(exitCode).toBe(0);
      },
    );

    test("which sees nothing of that", async () => {
      const env = { BUN_BE_BUN: "", HOST_TREE: older };
      const { stdout } = await inRoot(["/usr/bin/launcher", "env"], { env });
      expect(lines(stdout).filter((line) => /BUN|CAPSULE|MIMALLOC/.test(line))).toEqual(["BUN_BE_BUN="]);
    });
  });

  test("opens a capsule in its own process", async () => {
    writeFileSync(
      join(copy, "examples", "opens.ts"),
      `import { openCapsule } from "capsule";
      using capsule = openCapsule({ host: process.argv[2], libraries: ["libEGL.so.1"] });
      const { symbols } = capsule.dlopen("libEGL.so.1", { eglQueryString: { args: ["ptr", "i32"], returns: "cstring" } });
      console.log(\`\${symbols.eglQueryString(null, 0x3054)}\`);`,
    );
    await mustRun([process.execPath, "build", "--compile", "examples/opens.ts", "--outfile", "opens"], copy);
    await root.add(join(copy, "opens"), "/usr/bin/opens");
    for (const user of [0, NOBODY]) {
      const outcome = await inRoot(["/usr/bin/opens", older], { user });
      expect(outcome).toMatchObject({ stderr: "", stdout: "1.5 libglvnd\n", exitCode: 0 });
    }
  });
});
