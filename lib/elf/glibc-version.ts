// Versions of glibc and libgcc_s, taken from what they define rather than from file names.

/**
 * The newest version of a family ("GLIBC", "GCC") among names such as "GLIBC_2.36", as numbers; empty if there is none.
 */
export function newestOf(names: readonly string[], family: string): number[] {
  const versions = names
    .filter((name) => name.startsWith(`${family}_`))
    .map((name) => name.slice(family.length + 1).split("."))
    .filter((parts) => parts.every((part) => /^\d+$/.test(part)))
    .map((parts) => parts.map(Number));
  return versions.reduce((newest, version) => (compareVersions(version, newest) > 0 ? version : newest), []);
}

/** Negative, zero or positive, as for sort(). */
export function compareVersions(one: readonly number[], other: readonly number[]): number {
  for (let i = 0; i < Math.max(one.length, other.length); i++) {
    const difference = (one[i] ?? 0) - (other[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
