// Graphics cards, as /sys and /dev show them, and a host tree's drivers for them.

import { expect, test } from "bun:test";
import { Search } from "../../../lib/tree/search.ts";
import { gpuFindings } from "../../../src/doctor/gpus.ts";
import { MachineFiles } from "../../../src/doctor/machine-files.ts";
import { type Content, SmallTree } from "../../lib/tree/small-tree.ts";
import { complaints, textOf } from "./levels.ts";

const library = (soname: string) => ({ [`/lib64/${soname}`]: { soname } });
const dri = (...names: string[]) =>
  Object.fromEntries(names.map((name) => [`/lib64/dri/${name}`, { soname: name }] as const));
const card = (driver: string): Record<string, Content> => ({
  "/sys/class/drm/card0/device/driver": `-> ../../../bus/pci/drivers/${driver}`,
  "/sys/class/drm/version": Buffer.from("drm 1.1.0"),
  "/dev/dri/renderD128": Buffer.from(""),
  "/dev/dri/card0": Buffer.from(""),
});
const nvidia = (version: string): Record<string, Content> => ({
  "/proc/driver/nvidia/version": Buffer.from(
    `NVRM version: NVIDIA UNIX x86_64 Kernel Module  ${version}  Sun May 12 19:39:15 UTC 2024\nGCC version: 12\n`,
  ),
  "/dev/nvidiactl": Buffer.from(""),
  "/dev/nvidia0": Buffer.from(""),
});

function look(machine: Record<string, Content>, host: Record<string, Content> = {}) {
  using root = new SmallTree(machine);
  using tree = new SmallTree({ ...library("libGL.so.1"), ...host });
  return gpuFindings(new MachineFiles(root.directory), [new Search(tree.tree)]);
}

test("a machine without a card draws by its processor", () => {
  expect(complaints(look({}))).toEqual([]);
});

test("each card wants one of Mesa's drivers for it", () => {
  expect(complaints(look(card("i915"), dri("iris_dri.so")))).toEqual([]);
  expect(complaints(look(card("i915"), dri("i965_dri.so")))).toEqual([]);
  expect(complaints(look(card("amdgpu"), dri("iris_dri.so", "swrast_dri.so")))).toEqual(["warning gpu-driver"]);
  expect(complaints(look(card("amdgpu"), library("libgallium-25.0.7.so")))).toEqual([]);
});

test("a card that only shows pictures wants nothing", () => {
  for (const driver of ["ast", "simple-framebuffer", "bochs-drm"]) expect(complaints(look(card(driver)))).toEqual([]);
});

test("a video library wants a driver, too", () => {
  const gl = { ...dri("iris_dri.so"), ...library("libva.so.2") };
  expect(complaints(look(card("i915"), gl))).toEqual(["warning video-driver"]);
  expect(complaints(look(card("i915"), { ...gl, ...dri("iHD_drv_video.so") }))).toEqual([]);
});

test("a container that was not given the card is told so", () => {
  const { "/dev/dri/renderD128": _, ...without } = card("i915");
  expect(complaints(look(without, dri("iris_dri.so")))).toEqual(["warning dri-device"]);
});

test("a device of others is told", () => {
  class Locked extends MachineFiles {
    override isUsable(): boolean {
      return false;
    }
  }
  using root = new SmallTree(card("i915"));
  expect(complaints(gpuFindings(new Locked(root.directory), []))).toEqual(["warning dri-device"]);
});

test("NVIDIA's libraries have to be of the kernel module's release", () => {
  const host = (version: string): Record<string, Content> => ({
    [`/lib64/libGLX_nvidia.so.${version}`]: { soname: "libGLX_nvidia.so.0" },
    "/lib64/libGLX_nvidia.so.0": `-> libGLX_nvidia.so.${version}`,
  });
  expect(complaints(look(nvidia("535.183.01"), host("535.183.01")))).toEqual([]);
  const other = look(nvidia("550.54.14"), host("535.183.01"));
  expect(complaints(other)).toEqual(["hindrance nvidia"]);
  expect(textOf(other, "nvidia")).toMatch(/550\.54\.14.*535\.183\.01/);
  expect(complaints(look(nvidia("550.54.14")))).toEqual(["warning nvidia"]);
});

test("the open kernel module of NVIDIA's counts as well", () => {
  const text = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  555.42.02  Release Build  (dvs@x)  Tue\n";
  expect(complaints(look({ "/proc/driver/nvidia/version": Buffer.from(text) }))).toEqual(["warning nvidia"]);
});
