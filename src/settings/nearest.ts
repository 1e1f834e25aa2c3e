// What somebody has probably meant who wrote a name that is not there.

/** The end of a message: the nearest of some names, or all of them where none is near. */
export function suggestion(name: string, names: readonly string[]): string {
  const all = names.map((near) => ({ near, edits: editsBetween(name.toLowerCase(), near) }));
  const [nearest] = all.sort((one, other) => one.edits - other.edits);
  if (!nearest) return "there is none";
  const isNear = nearest.edits <= Math.ceil(nearest.near.length * TOLERANCE);
  return isNear ? `did you mean "${nearest.near}"?` : `choose of ${names.join(", ")}`;
}

/** The part of a name that may be wrong. */
const TOLERANCE = 0.4;

/** How many characters to put in, leave out or change to make the other of the one: Levenshtein's distance. */
function editsBetween(one: string, other: string): number {
  // To each beginning of the other, from what has been read of the one.
  const row = Array.from({ length: other.length + 1 }, (_, length) => length);
  for (let i = 0; i < one.length; i++) {
    let diagonal = i;
    row[0] = i + 1;
    for (let j = 0; j < other.length; j++) {
      const [left = 0, above = 0] = [row[j], row[j + 1]];
      row[j + 1] = one[i] === other[j] ? diagonal : 1 + Math.min(diagonal, left, above);
      diagonal = above;
    }
  }
  return row[other.length] ?? 0;
}
