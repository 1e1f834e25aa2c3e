// The environment of an attached program: the one that this command was given,
// without what a package runner and Bun have put there, with the shims first on the
// library path, and the directories of a runtime of its own last. Bytes, since variables need not be UTF-8.

/** NAME=VALUE, as they were given and in that order. `changes` has undefined for a variable that goes. */
export function programEnvironment(
  given: readonly Uint8Array[],
  changes: ReadonlyMap<string, string | undefined>,
  libraries: string,
  behind: readonly string[] = [],
): Uint8Array[] {
  const left = new Map(changes);
  const list = given.flatMap((variable) => {
    const name = nameOf(variable);
    if (!changes.has(name)) return [variable];
    const value = left.get(name);
    // Of a name that stands there twice, one stays.
    left.delete(name);
    return value === undefined ? [] : [Buffer.from(`${name}=${value}`)];
  });
  for (const [name, value] of left) if (value !== undefined) list.push(Buffer.from(`${name}=${value}`));
  return withPath(list, libraries, behind);
}

export const LIBRARY_PATH = "LD_LIBRARY_PATH";

/** The value of LD_LIBRARY_PATH in a list of NAME=VALUE, with one more directory in front and others behind. */
export function extendedPath(list: readonly Uint8Array[], libraries: string, behind: readonly string[] = []): Buffer {
  // ld.so goes by the last.
  const last = list.findLast((variable) => nameOf(variable) === LIBRARY_PATH) ?? new Uint8Array(0);
  const before = last.subarray(LIBRARY_PATH.length + 1);
  // ld.so takes an empty value for none, but an empty element for the current directory.
  const rest = Buffer.from(behind.map((directory) => `:${directory}`).join(""));
  return Buffer.concat([Buffer.from(`${libraries}${before.length > 0 ? ":" : ""}`), before, rest]);
}

/** The directories of each LD_LIBRARY_PATH in an environment as /proc shows it. */
export const libraryPathsIn = (environment: string): string[][] =>
  environment
    .split("\0")
    .filter((variable) => variable.startsWith(`${LIBRARY_PATH}=`))
    .map((variable) =>
      variable
        .slice(LIBRARY_PATH.length + 1)
        .split(/[:;]/)
        .filter(Boolean),
    );

function withPath(list: readonly Uint8Array[], libraries: string, behind: readonly string[]): Uint8Array[] {
  const own = list.map((variable) => nameOf(variable) === LIBRARY_PATH);
  const value = Buffer.concat([Buffer.from(`${LIBRARY_PATH}=`), extendedPath(list, libraries, behind)]);
  const first = own.indexOf(true);
  if (first < 0) return [...list, value];
  return list.flatMap((variable, i) => (i === first ? [value] : own[i] ? [] : [variable]));
}

function nameOf(variable: Uint8Array): string {
  const end = variable.indexOf("=".charCodeAt(0));
  return Buffer.from(end < 0 ? variable : variable.subarray(0, end)).toString("latin1");
}
