// GLIBC_TUNABLES: settings that ld.so reads once, NAME=VALUE with colons in between, of
// which the last of a name counts. Names that it does not know are passed over.

export const TUNABLES = "GLIBC_TUNABLES";

/** Undefined where nothing is set. */
export function tunableIn(tunables: string, name: string): string | undefined {
  const setting = tunables.split(":").findLast((one) => one.startsWith(`${name}=`));
  return setting?.slice(name.length + 1);
}

export const withTunable = (tunables: string, name: string, value: string | number): string =>
  `${tunables}${tunables === "" ? "" : ":"}${name}=${value}`;
