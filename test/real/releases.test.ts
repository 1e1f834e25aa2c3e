// The square: programs and libraries of one Debian release, the graphics stack of another, each with each, in every way
// to run them. Whichever of the two is newer, its glibc runs both. It ends with a table of what was drawn by what.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cacheDirectory } from "../support/cache.ts";
import { Display } from "../support/display.ts";
import { expectLines } from "../support/expect.ts";
import { build, type Output } from "../support/fixtures.ts";
import { expectSameGears, gears } from "../support/gears.ts";
import type { Picture } from "../support/picture.ts";
import { flagsFor, LIBRARIES, OF_RELEASE, RELEASES, releaseTree, smallHost } from "../support/releases.ts";
import { capsule, capsuleCommand, start } from "../support/run.ts";
import type { Suite } from "../support/trees.ts";

setDefaultTimeout(600_000);

const WAYS: Record<string, string[]> = {
  "in-process": ["--mode", "in-process"],
  "attached, mount namespace": ["--mode", "attached", "--mount-namespace", "always"],
  "attached, by ld.so's name": ["--mode", "attached", "--mount-namespace", "never"],
};

let display: Display;
let model: Picture[];
beforeAll(async () => {
  display = await Display.start();
  model = await gears(display, ["glxgears"]);
});
afterAll(() => display[Symbol.asyncDispose]());

const results = new Map<string, string>();
const columns = ["glxinfo", "glxgears", "vkcube", "fixture"];

for (const runtime of RELEASES)
  for (const host of RELEASES)
    for (const [way, flags] of Object.entries(WAYS))
      describe(`${OF_RELEASE[runtime].glibc} with the graphics of ${OF_RELEASE[host].glibc}, ${way}:`, () => {
        const cell = (column: string, body: () => Promise<string>) =>
          test(column, async () => {
            const key = [runtime, host, way, column].join("|");
            results.set(key, "FAILED");
            results.set(key, await body());
          });
        const options = async () => [
          ...flags,
          "--runtime",
          await releaseTree(runtime),
          "--host",
          await releaseTree(host),
        ];

        cell("glxinfo", async () => {
          const program = await programOf(runtime, "glxinfo");
          const outcome = await capsule(await options(), program, ["-B"], { env: display.env, timeout: 60_000 });
          expect(outcome.stderr).toBe("");
          const renderer = /OpenGL renderer string: (.*)/.exec(outcome.stdout)?.[1];
          expect(renderer).toBe(OF_RELEASE[host].mesa);
          return `${renderer}`;
        });

        cell("glxgears", async () => {
          const command = capsuleCommand(await options(), await programOf(runtime, "glxgears"));
          expectSameGears(await gears(display, command), model);
          return "the same picture";
        });

        cell("vkcube", async () => {
          // Debian 11's lavapipe shows pictures through DRI3 alone, which an X server without a GPU does not have.
          if (host === "bullseye") return await vulkanDevice(runtime, await options());
          const program = await programOf(runtime, "vkcube");
          await using cube = start(capsuleCommand(await options(), program, []), { env: display.env });
          const picture = await display.until(({ colours, lit }) => colours > 100 && lit > 10_000, cube);
          cube.kill();
          return `${picture.colours > 100 ? "a cube" : "nothing"}`;
        });

        cell("fixture", async () => {
          const made = await fixture(runtime, host);
          const more = [...flags, "--runtime", await releaseTree(runtime), "--host", made.host];
          const outcome = await capsule([...more, "--isolate", "libhost.so.1"], made.program, [], { timeout: 60_000 });
          expectLines(outcome, made.expected);
          return `glibc ${newer(runtime, host)}`;
        });
      });

afterAll(() => {
  const rows = RELEASES.flatMap((runtime) =>
    RELEASES.flatMap((host) =>
      Object.keys(WAYS).map((way) => {
        const cells = columns.map((column) => results.get([runtime, host, way, column].join("|")) ?? "not run");
        return [`${runtime} ${OF_RELEASE[runtime].glibc}`, `${host} ${OF_RELEASE[host].glibc}`, way, ...cells];
      }),
    ),
  );
  const table = [
    ["runtime", "host", "way", ...columns],
    ["", "", "", ...columns.map(() => "")].map(() => "---"),
    ...rows,
  ]
    .map((row) => `| ${row.join(" | ")} |`)
    .join("\n");
  console.log(table);
  const { CAPSULE_TEST_PICTURES: directory = cacheDirectory() } = process.env;
  writeFileSync(join(directory, "releases.md"), `${table}\n`);
});

async function vulkanDevice(runtime: Suite, options: string[]): Promise<string> {
  const program = await programOf(runtime, "vulkaninfo");
  const { stdout } = await capsule(options, program, ["--summary"], { env: display.env, timeout: 60_000 });
  const device = /deviceName += (llvmpipe.*)/.exec(stdout)?.[1];
  expect(device).toStartWith("llvmpipe (LLVM 11.");
  return `no DRI3 (vulkaninfo: ${device})`;
}

/** The machine's own counts, too: what is started there may need it. */
function newer(runtime: Suite, host: Suite): string {
  const machine = Bun.spawnSync(["getconf", "GNU_LIBC_VERSION"]).stdout.toString().trim().split(" ")[1] ?? "";
  const minor = (version: string) => Number(version.split(".")[1]);
  return [machine, OF_RELEASE[runtime].glibc, OF_RELEASE[host].glibc].toSorted((a, b) => minor(b) - minor(a))[0] ?? "";
}

/** The release's own build. */
async function programOf(suite: Suite, name: string): Promise<string> {
  const root = await releaseTree(suite);
  const plain = join(root, "usr/bin", name);
  // A link to a name with the architecture, which is the program.
  return existsSync(plain) ? realpathSync(plain) : plain;
}

/** A program of one release, with a library of another. */
async function fixture(runtime: Suite, host: Suite): Promise<{ program: string; host: string; expected: string[] }> {
  const folder = "glibc/runtime-and-host-are-of-any-release";
  const own = await flagsFor(runtime);
  const library: Output = { path: "host/libhost.so.1", sources: ["host.cc"], flags: await flagsFor(host) };
  // The linker takes versions from what the library needs, so it is given the runtime's own build of it.
  const reference: Output = { path: "runtime/libhost.so.1", sources: ["host.cc"], flags: own };
  const program: Output = { path: "program", sources: ["program.cc"], needs: [reference.path], flags: own };
  const out = await build(folder, [library, reference, program]);
  const tree = await smallHost(host, join(out, library.path));
  const expected = [
    `glibc: ${newer(runtime, host)}`,
    `called: ${join(out, "program")}`,
    "own file: program",
    "host: by the host",
    "host, calls by each thread: 2 2",
    "host, exception: caught by the host",
    "program, exception: caught by the program",
    `program, C++ library: ${join(await releaseTree(runtime), LIBRARIES, "libstdc++.so.6")}`,
    `host, C++ library: ${join(tree, LIBRARIES, "libstdc++.so.6")}`,
    "locale: C.UTF-8, UTF-8",
    "converted: €",
    "converted: 日",
    "user: /root 0",
    "localhost: 127.0.0.1",
    "libm: 1",
  ];
  return { program: join(out, "program"), host: tree, expected };
}
