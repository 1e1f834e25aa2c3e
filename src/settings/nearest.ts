// Suggestions for misspelled names.

/** The end of a message: the nearest name, or all of them if none is near. */
export function suggestion(name: string, names: readonly string[]): string {
  const all = names.map((near) => ({ near, edits: editsBetween(name.toLowerCase(), near) }));
  const [nearest] = all.sort((one, other) => one.edits - other.edits);
  if (!nearest) return "there is none";
  const isNear = nearest.edits <= Math.ceil(nearest.near.length * TOLERANCE);
  return isNear ? `did you mean "${nearest.near}"?` : `choose of ${names.join(", ")}`;
}

/** The fraction of a name that may be wrong. */
const TOLERANCE = 0.4;

/** Levenshtein's distance: how many characters to insert, delete or change. */
function editsBetween(one: string, other: string): number {
  // Distance of what has been read of `one` to each prefix of `other`.
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
