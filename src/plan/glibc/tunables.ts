// GLIBC_TUNABLES: settings that ld.so reads once, NAME=VALUE separated by colons. The last one of a name counts;
// unknown names are ignored.

export const TUNABLES = "GLIBC_TUNABLES";

/** Undefined if it is not set. */
export function tunableIn(tunables: string, name: string): string | undefined {
  const setting = tunables.split(":").findLast((one) => one.startsWith(`${name}=`));
  return setting?.slice(name.length + 1);
}

export const withTunable = (tunables: string, name: string, value: string | number): string =>
  `${tunables}${tunables === "" ? "" : ":"}${name}=${value}`;
