import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { hwcapsOf, ownHwcaps, ownPlatform, platformOf } from "../../../lib/tree/hwcaps.ts";
import { run } from "../elf/scratch.ts";

const V2 = "fpu cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3";
const V3 = `${V2} avx avx2 bmi1 bmi2 f16c fma movbe xsave`;
const V4 = `${V3} avx512f avx512bw avx512cd avx512dq avx512vl`;

test("a level needs all of its flags and all of the levels below, and the best one comes first", () => {
  expect(hwcapsOf("fpu sse sse2")).toEqual([]);
  expect(hwcapsOf(V2)).toEqual(["x86-64-v2"]);
  expect(hwcapsOf(V3)).toEqual(["x86-64-v3", "x86-64-v2"]);
  expect(hwcapsOf(V4)).toEqual(["x86-64-v4", "x86-64-v3", "x86-64-v2"]);
  for (const [flags, levels] of [
    [V2, 1],
    [V3, 2],
    [V4, 3],
  ] as const)
    for (const flag of flags.split(" ").slice(1))
      expect(hwcapsOf(flags.replace(new RegExp(` ${flag}(?= |$)`), "")).length).toBeLessThan(levels);
});

test("flags are words, not parts of words", () => {
  expect(hwcapsOf(V2.replace("sse4_2", "sse4_2x"))).toEqual([]);
  expect(hwcapsOf(`  ${V2.replaceAll(" ", "\t")}\n`)).toEqual(["x86-64-v2"]);
});

test("a platform is one of Intel's, by all of its flags", () => {
  const haswell = "avx2 fma bmi1 bmi2 movbe popcnt";
  expect(platformOf("GenuineIntel", haswell)).toBe("haswell");
  for (const flag of haswell.split(" "))
    expect(platformOf("GenuineIntel", haswell.replace(new RegExp(`${flag}\\b`), ""))).toBe("x86_64");
  expect(platformOf("AuthenticAMD", haswell)).toBe("x86_64");
  expect(platformOf("GenuineIntel", `${haswell} avx512cd avx512er avx512pf`)).toBe("xeon_phi");
});

const loader = "/lib64/ld-linux-x86-64.so.2";
const help = existsSync(loader) ? run([loader, "--help"]) : "";
// since glibc 2.33
const isShown = help.includes("glibc-hwcaps");
test.skipIf(!isShown)(
  `this machine's levels are those that its ld.so searches${isShown ? "" : " (it does not say)"}`,
  () => {
    const searched = [...help.matchAll(/^ {2}(x86-64-v\d) \(.*searched\)$/gm)].map(([, level = ""]) => level);
    expect(ownHwcaps()).toEqual(searched);
  },
);

const diagnostics = help.includes("--list-diagnostics") ? run([loader, "--list-diagnostics"]) : "";
const [, platform] = /^dl_platform="(.*)"$/m.exec(diagnostics) ?? [];
test.skipIf(platform === undefined)(
  `this machine's platform is that of its ld.so${platform === undefined ? " (it does not say)" : ""}`,
  () => {
    expect(ownPlatform()).toBe(platform ?? "");
  },
);
