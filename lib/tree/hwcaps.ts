// Which glibc-hwcaps directories this processor can use (x86-64 psABI, "Micro-Architecture Levels"; glibc ≥ 2.33), best
// first.

import { readFileSync } from "node:fs";

const V2 = ["cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"];
// V3 also requires LZCNT ("abm"). Not every kernel lists it (6.18 on AMD EPYC does not), but all processors with BMI2
// have it.
const V3 = [...V2, "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave"];
const V4 = [...V3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"];

/** `flags` is the flags line of /proc/cpuinfo. */
export function hwcapsOf(flags: string): string[] {
  const has = new Set(flags.split(/\s+/));
  return Object.entries({ "x86-64-v4": V4, "x86-64-v3": V3, "x86-64-v2": V2 })
    .filter(([, needed]) => needed.every((flag) => has.has(flag)))
    .map(([name]) => name);
}

/** This machine's. */
export const ownHwcaps = (): string[] => hwcapsOf(said("flags", cpuinfo()));

const HASWELL = ["avx2", "fma", "bmi1", "bmi2", "movbe", "popcnt"];
/** Only Xeon Phi has these. */
const PHI = ["avx512cd", "avx512er", "avx512pf"];

/** $PLATFORM in glibc's ld.so: its own value for Intel processors since 2.26, the kernel's (AT_PLATFORM) for others. */
export function platformOf(vendor: string, flags: string): string {
  const has = new Set(flags.split(/\s+/));
  if (vendor !== "GenuineIntel") return "x86_64";
  if (PHI.every((flag) => has.has(flag))) return "xeon_phi";
  return HASWELL.every((flag) => has.has(flag)) ? "haswell" : "x86_64";
}

/** This machine's. */
export function ownPlatform(): string {
  const text = cpuinfo();
  return platformOf(said("vendor_id", text), said("flags", text));
}

const cpuinfo = (): string => readFileSync("/proc/cpuinfo", "latin1");

const said = (key: string, text: string): string => new RegExp(`^${key}\\s*: (.*)$`, "m").exec(text)?.[1] ?? "";
