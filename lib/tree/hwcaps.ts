// Which glibc-hwcaps directories this processor may use (x86-64 psABI,
// "Micro-Architecture Levels"; glibc ≥ 2.33), best first.

import { readFileSync } from "node:fs";

const V2 = ["cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"];
const V3 = [...V2, "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"];
const V4 = [...V3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"];

/** `flags` is the flags line of /proc/cpuinfo. */
export function hwcapsOf(flags: string): string[] {
  const has = new Set(flags.split(/\s+/));
  return Object.entries({ "x86-64-v4": V4, "x86-64-v3": V3, "x86-64-v2": V2 })
    .filter(([, needed]) => needed.every((flag) => has.has(flag)))
    .map(([name]) => name);
}

/** This machine's. */
export function ownHwcaps(): string[] {
  return hwcapsOf(/^flags\s*: (.*)$/m.exec(readFileSync("/proc/cpuinfo", "latin1"))?.[1] ?? "");
}
