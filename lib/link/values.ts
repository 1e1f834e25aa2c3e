// Values that relocations compute: 64 bits, modulo 2^64. A signed number if it fits, which it does except for odd
// addends and absolute symbols; otherwise a bigint.

export type Value = number | bigint;

const HIGH_WORD = 2 ** 32;

/** From two 32-bit words; the high one is signed. */
export function fromWords(low: number, high: number): Value {
  if (high >= -0x200000 && high < 0x200000) return high * HIGH_WORD + low;
  return (BigInt(high) << 32n) + BigInt(low);
}

export function plus(one: Value, other: Value): Value {
  if (typeof one === "number" && typeof other === "number") {
    const sum = one + other;
    if (Number.isSafeInteger(sum)) return sum;
  }
  const sum = BigInt.asIntN(64, BigInt(one) + BigInt(other));
  const number = Number(sum);
  return Number.isSafeInteger(number) ? number : sum;
}

export const minus = (one: Value, other: Value): Value =>
  typeof other === "number" ? plus(one, -other) : plus(one, -other);

export function setValue64(view: DataView, at: number, value: Value): void {
  if (typeof value === "bigint") view.setBigInt64(at, BigInt.asIntN(64, value), true);
  else {
    const high = Math.floor(value / HIGH_WORD);
    view.setUint32(at, value - high * HIGH_WORD, true);
    view.setInt32(at + 4, high, true);
  }
}

export const value64At = (view: DataView, at: number): Value =>
  fromWords(view.getUint32(at, true), view.getInt32(at + 4, true));
