// A shared object with a few symbols of one's own, and with dependencies.

import { DT_HASH, DT_STRTAB, DT_SYMTAB, STB_GLOBAL } from "../constants.ts";
import { Sym } from "../sym.ts";
import {
  emitSharedObject,
  type Place,
  placeFunction,
  planSharedObject,
  type SharedObjectPlan,
} from "./shared-object.ts";

export interface SymbolObjectOptions {
  readonly soname: string;
  /** Sonames or paths. */
  readonly needed?: readonly string[];
  /** Functions, without versions: they answer a reference with any version. */
  readonly functions?: ReadonlyMap<string, Place>;
  readonly zeroPages?: number;
}

const encoder = new TextEncoder();

export function symbolObject(options: SymbolObjectOptions): { bytes: Uint8Array; plan: SharedObjectPlan } {
  const functions = [...(options.functions ?? [])];
  const strings: Uint8Array[] = [Uint8Array.of(0)];
  let size = 1;
  const offsetOf = (text: string): number => {
    const bytes = encoder.encode(`${text}\0`);
    const offset = size;
    strings.push(bytes);
    size += bytes.length;
    return offset;
  };
  const soname = offsetOf(options.soname);
  const needed = (options.needed ?? []).map(offsetOf);
  const names = functions.map(([name]) => offsetOf(name));

  const count = functions.length + 1;
  const hash = new Uint32Array(2 + 1 + count); // one bucket: nobody looks here often
  hash.set([1, count, functions.length]);
  for (let i = 1; i < count; i++) hash[3 + i] = i - 1;

  const symbols = new Uint8Array(count * Sym.size);
  const tables = [
    { tag: DT_SYMTAB, bytes: symbols },
    { tag: DT_STRTAB, bytes: new Uint8Array(Buffer.concat(strings)) },
    { tag: DT_HASH, bytes: new Uint8Array(hash.buffer) },
  ];
  const plan = planSharedObject({
    tables,
    verdefCount: 0,
    soname,
    needed,
    zeroPages: options.zeroPages ?? 0,
  });
  functions.forEach(([, place], i) => {
    const sym = Sym.at(new DataView(symbols.buffer), (i + 1) * Sym.size);
    sym.st_name = names[i] ?? 0;
    sym.st_info = STB_GLOBAL << 4;
    placeFunction(sym, place, plan);
  });
  return { bytes: emitSharedObject(plan), plan };
}
