// What tests want to know of findings: how much each matters, and the words.

import type { Finding } from "../../../src/doctor/finding.ts";

/** "warning gpu-driver", in order; what is fine is left out. */
export const complaints = (findings: Finding | readonly Finding[]): string[] =>
  [findings]
    .flat()
    .filter(({ level }) => level !== "fine")
    .map(({ level, check }) => `${level} ${check}`);

/** The words of one of them. Throws where there is none. */
export function textOf(findings: readonly Finding[], check: string): string {
  const found = findings.find((finding) => finding.check === check);
  if (!found)
    throw new Error(`There is no finding of ${check}: ${findings.map((finding) => finding.check).join(", ")}`);
  return found.text;
}
