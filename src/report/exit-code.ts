// What the exit status of a report says.

import { EXIT } from "../errors.ts";
import { isMissing, type Report, type Side } from "./sides.ts";

/** 127 where the program would not start, 125 where its isolated libraries would not, else 0. */
export function exitCodeOf({ program, capsules }: Report): number {
  if (lacks(program)) return EXIT.notFound;
  const isMissed = ({ roots }: Side) => roots.some(({ link, when }) => when === "start" && isMissing(link));
  return capsules.some((side) => lacks(side) || isMissed(side)) ? EXIT.failure : 0;
}

const lacks = ({ items }: Side): boolean => items.some(({ when, needs }) => when === "start" && needs.some(isMissing));
