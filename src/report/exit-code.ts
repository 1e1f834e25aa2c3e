// The exit status of a report.

import { EXIT } from "../diagnostics/errors.ts";
import { isMissing, type Report, type Side } from "./item.ts";
import { missedGlibc } from "./words.ts";

/**
 * 127 if the program lacks a library; 125 if a capsule lacks one at the start, or something needs a newer glibc; else
 * 0.
 */
export function exitCodeOf(report: Report): number {
  const { program, capsules } = report;
  if (lacks(program)) return EXIT.notFound;
  const atStart = [program, ...capsules].flatMap(({ items }) => items).filter(({ when }) => when === "start");
  if (atStart.some((item) => missedGlibc(item, report) !== undefined)) return EXIT.failure;
  const isMissed = ({ roots }: Side) => roots.some(({ link, when }) => when === "start" && isMissing(link));
  return capsules.some((side) => lacks(side) || isMissed(side)) ? EXIT.failure : 0;
}

const lacks = ({ items }: Side): boolean => items.some(({ when, needs }) => when === "start" && needs.some(isMissing));
