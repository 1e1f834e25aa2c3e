// Sizes in readable units.

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"];

/** "1.5 GiB", rounded down. */
export function inUnits(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${value < 10 && power > 0 ? Math.floor(value * 10) / 10 : Math.floor(value)} ${UNITS[power]}`;
}
