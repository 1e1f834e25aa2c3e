// OpenCL's drivers, and NVIDIA's, of a host tree: stub libraries by their names, in the files where they are looked for.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { PlanReport } from "../../src/report/plan-data.ts";
import { expectLines } from "../support/expect.ts";
import { build } from "../support/fixtures.ts";
import { capsule, command, native } from "../support/run.ts";

const LIBRARIES = "usr/lib/x86_64-linux-gnu";
const NVIDIA = ["libcuda.so.1", "libnvidia-ml.so.1", "libGLX_nvidia.so.0", "libnvidia-encode.so.1"];

let out: string;
let directory: string;
let tree: string;
beforeAll(async () => {
  const driver = (path: string, name: string) => ({ path, sources: ["driver.c"], flags: [`-DNAME="${name}"`] });
  out = await build("loading/a-loader-finds-the-drivers-that-its-tree-names", [
    { path: "runtime/libOpenCL.so.1", sources: ["loader.c"] },
    driver("runtime/libcuda.so.1", "the runtime's"),
    ...["libred.so.1", "libgreen.so.1", "libnvidia-opencl.so.1"].map((name) =>
      driver(`host/${name}`, `the tree's ${name}`),
    ),
    ...NVIDIA.map((name) => driver(`host/${name}`, `the tree's ${name}`)),
    { path: "program", sources: ["program.c"], needs: ["runtime/libOpenCL.so.1"] },
  ]);
  directory = mkdtempSync(join(tmpdir(), "capsule-test-drivers-"));
  tree = join(directory, "tree");
  put("libOpenCL.so.1", "runtime");
  for (const name of ["libred.so.1", "libgreen.so.1", "libnvidia-opencl.so.1", ...NVIDIA]) put(name, "host");
  write("etc/OpenCL/vendors/a.icd", "libred.so.1\n");
  write("etc/OpenCL/vendors/b.icd", `/${LIBRARIES}/libgreen.so.1`);
  write("etc/OpenCL/vendors/nvidia.icd", "libnvidia-opencl.so.1\n");
  const manifest = (name: string) => JSON.stringify({ file_format_version: "1.0.0", ICD: { library_path: name } });
  write("usr/share/vulkan/icd.d/nvidia_icd.json", manifest("libGLX_nvidia.so.0"));
  write("usr/share/glvnd/egl_vendor.d/10_nvidia.json", manifest("libEGL_nvidia.so.0"));
});
afterAll(() => rmSync(directory, { recursive: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(join(tree, path)), { recursive: true });
  writeFileSync(join(tree, path), text);
}
function put(name: string, from: string): void {
  mkdirSync(join(tree, LIBRARIES), { recursive: true });
  copyFileSync(join(out, from, name), join(tree, LIBRARIES, name));
}
const start = (flags: string[], args: string[] = [], env: Record<string, string> = {}) =>
  capsule(["--host", tree, ...flags], join(out, "program"), args, {
    env: { LD_LIBRARY_PATH: join(out, "runtime"), ...env },
  });

const DRIVERS = ["a.icd: the tree's libred.so.1", "b.icd: the tree's libgreen.so.1"];
const ALL = [...DRIVERS, "nvidia.icd: the tree's libnvidia-opencl.so.1"];

describe("OpenCL's loader finds the drivers of its tree", () => {
  test("as it would natively", async () => {
    const env = {
      LD_LIBRARY_PATH: join(tree, LIBRARIES),
      OCL_ICD_VENDORS: join(tree, "etc/OpenCL/vendors"),
    };
    const { stdout } = await native(join(out, "program"), [], { env });
    // Natively a path in a file is not the tree's.
    expect(stdout).toStartWith(`${DRIVERS[0]}\nb.icd: /${LIBRARIES}/libgreen.so.1: cannot open`);
    expectLines(await start(["--profile", "cl"]), ALL);
  });

  test("without a word, and by its name alone", async () => {
    expectLines(await start([]), ALL);
    expectLines(await start(["--isolate", "libOpenCL.so.1"]), ALL);
  });

  test("unless the user has said where, by either name", async () => {
    const mine = join(directory, "mine");
    mkdirSync(mine, { recursive: true });
    writeFileSync(join(mine, "mine.icd"), "libgreen.so.1\n");
    for (const name of ["OCL_ICD_VENDORS", "OPENCL_VENDOR_PATH"])
      expectLines(await start(["--profile", "cl"], [], { [name]: mine }), ["mine.icd: the tree's libgreen.so.1"]);
  });
});

describe("of NVIDIA's driver", () => {
  test("programs get the host's libraries by their names", async () => {
    const expected = NVIDIA.map((name) => `${name}: the tree's ${name}`);
    expectLines(await start(["--profile", "nvidia,cl"], NVIDIA), [...ALL, ...expected]);
    expectLines(await start(["--isolate", "libnvidia-ml.so.1,libOpenCL.so.1"], NVIDIA), [...ALL, ...expected]);
  });

  test("host libraries are told of the manifests", async () => {
    const { stdout } = await command(["plan", "--json", "--host", tree, "--profile", "nvidia", join(out, "program")], {
      env: { LD_LIBRARY_PATH: join(out, "runtime") },
    });
    const [capsule] = (JSON.parse(stdout) as PlanReport).capsules;
    const told = Object.fromEntries((capsule?.environment ?? []).map(({ name, value }) => [name, value]));
    expect(told).toMatchObject({
      VK_DRIVER_FILES: join(tree, "usr/share/vulkan/icd.d/nvidia_icd.json"),
      __EGL_VENDOR_LIBRARY_DIRS: join(tree, "usr/share/glvnd/egl_vendor.d"),
      OCL_ICD_VENDORS: join(tree, "etc/OpenCL/vendors"),
      OPENCL_VENDOR_PATH: join(tree, "etc/OpenCL/vendors"),
      __GL_SHADER_DISK_CACHE_PATH: expect.stringContaining("/capsule/shaders/"),
    });
  });
});

test("doctor says which drivers OpenCL has, and which of them lack their library", async () => {
  write("etc/OpenCL/vendors/gone.icd", "libgone.so.1\n");
  write("etc/OpenCL/vendors/empty.icd", "");
  const { stdout } = await command(["doctor", "-v", "--host", tree, "--profile", "cl"]);
  rmSync(join(tree, "etc/OpenCL/vendors/gone.icd"));
  rmSync(join(tree, "etc/OpenCL/vendors/empty.icd"));
  const text = stdout.replace(/\s+/g, " ");
  expect(text).toContain("OpenCL's drivers: a, b, nvidia");
  expect(text).toContain('gone.icd" names "libgone.so.1", which');
  expect(text).toContain('empty.icd" names no library in its first line');
});
