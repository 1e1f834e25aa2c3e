// What somebody has probably meant who wrote a name that is not there.

/** The end of a message: the nearest of some names, or all of them where none is near. */
export function suggestion(name: string, names: readonly string[]): string {
  // Only now: nobody should wait for it who has made no mistake.
  const { closest, distance } = require("fastest-levenshtein") as typeof import("fastest-levenshtein");
  const near = names.length > 0 ? closest(name.toLowerCase(), names) : "";
  const isNear = near !== "" && distance(name.toLowerCase(), near) <= Math.ceil(near.length * TOLERANCE);
  if (isNear) return `did you mean "${near}"?`;
  return names.length > 0 ? `choose of ${names.join(", ")}` : "there is none";
}

/** The part of a name that may be wrong. */
const TOLERANCE = 0.4;
