// Which files the host's Mesa and loaders open, by strace: those of its own system from its tree, those of the machine
// where they are.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Display } from "../support/display.ts";
import { bullseye } from "../support/hosts.ts";
import { lines } from "../support/lines.ts";
import { capsuleCommand, run } from "../support/run.ts";

setDefaultTimeout(600_000);

/** Decoys: what belongs to the machine, in the tree. */
const MACHINES = ["/dev/dri/card0", "/dev/dri/renderD128", "/proc/cpuinfo", "/sys/devices/system/cpu/online"];

let display: Display;
let home: string;
let tree: string;
beforeAll(async () => {
  display = await Display.start();
  home = mkdtempSync(join(tmpdir(), "capsule-test-"));
  tree = join(home, "tree");
  cpSync(await bullseye.directory(), tree, { recursive: true, verbatimSymlinks: true });
  for (const path of [...MACHINES, join(home, ".drirc")]) {
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    writeFileSync(join(tree, path), "not the machine's\n");
  }
});
afterAll(async () => {
  rmSync(home, { recursive: true });
  await display[Symbol.asyncDispose]();
});

/** The paths that a program on that tree opens, the tree's own as TREE/…. */
async function opened(program: string, args: string[]): Promise<string[]> {
  const log = join(home, "strace");
  const strace = ["strace", "-f", "-qq", "-s", "4096", "-z", "-e", "trace=open,openat", "-o", log];
  const options = { env: { ...display.env, HOME: home }, timeout: 60_000 };
  const { exitCode, stderr } = await run([...strace, ...capsuleCommand(["--host", tree], program, args)], options);
  if (exitCode !== 0) throw new Error(`${program} failed: ${stderr}`);
  const paths = lines(await Bun.file(log).text()).map((line) => /"([^"]*)"/.exec(line)?.[1] ?? "");
  return [...new Set(paths)].map((path) => (path.startsWith(`${tree}/`) ? `TREE${path.slice(tree.length)}` : path));
}

const programs = [
  { program: "glxinfo", args: ["-B"], files: ["/usr/share/drirc.d/00-mesa-defaults.conf"] },
  {
    program: "es2_info",
    args: [],
    files: ["/usr/share/drirc.d/00-mesa-defaults.conf", "/usr/share/glvnd/egl_vendor.d/50_mesa.json"],
  },
  {
    program: "vulkaninfo",
    args: ["--summary"],
    files: [
      "/usr/share/drirc.d/00-mesa-defaults.conf",
      "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json",
      // no variable leads there
      "/usr/share/vulkan/implicit_layer.d/VkLayer_MESA_device_select.json",
      "/usr/share/vulkan/explicit_layer.d/VkLayer_MESA_overlay.json",
    ],
  },
];

for (const { program, args, files } of programs) {
  describe(`the libraries that ${program} uses open`, () => {
    let paths: string[];
    beforeAll(async () => {
      paths = await opened(program, args);
    });

    for (const file of files) {
      test(`${file} of the tree, and nothing beside it of the machine`, () => {
        expect(paths).toContain(`TREE${file}`);
        expect(paths.filter((path) => path.startsWith(dirname(file)))).toEqual([]);
      });
    }

    test("nothing in /dev, /proc, /sys, /run, /tmp or /home but the machine's", () => {
      const isMachines = /^TREE\/(dev|proc|sys|run|tmp|home|root)\//;
      expect(paths.filter((path) => isMachines.test(path))).toEqual([]);
      expect(paths).toContain("/sys/devices/system/cpu/online");
    });
  });
}
