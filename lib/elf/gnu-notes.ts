// What the descriptors of well-known notes mean: GNU's (<elf.h> of glibc; x86-64 psABI, "Program Property"), and
// systemd's package metadata, which distributions add.

import { alignUp, hex } from "../memory/numbers.ts";
import { NT_GNU_ABI_TAG, NT_GNU_BUILD_ID, NT_GNU_GOLD_VERSION, NT_GNU_PROPERTY_TYPE_0 } from "./constants.ts";
import { flagsOf, GNU_NOTE_TYPES, type Names, nameOf, PROPERTIES, X86_FEATURES, X86_ISA_LEVELS } from "./names.ts";
import type { Note } from "./notes.ts";

const SYSTEMS = ["Linux", "Hurd", "Solaris", "FreeBSD", "NetBSD", "Syllable", "NaCl"];
/** Types of notes named "FDO" whose descriptors are text. */
const FDO_TYPES: Names = new Map([
  [0xcafe1a7e, "FDO_PACKAGING_METADATA"],
  [0x407c0c0a, "FDO_DLOPEN_METADATA"],
]);
const TYPES: ReadonlyMap<string, Names> = new Map([
  ["GNU", GNU_NOTE_TYPES],
  ["FDO", FDO_TYPES],
]);
const PROPERTY_FLAGS: Readonly<Record<string, Names>> = {
  GNU_PROPERTY_X86_FEATURE_1_AND: X86_FEATURES,
  GNU_PROPERTY_X86_ISA_1_NEEDED: X86_ISA_LEVELS,
  GNU_PROPERTY_X86_ISA_1_USED: X86_ISA_LEVELS,
};

/** The name of a note's type, or its number if unknown. */
export function typeNameOf({ name, type }: Note): string {
  const names = TYPES.get(name);
  return names ? nameOf(names, type) : hex(type);
}

/** What it says, as text; undefined if unknown or truncated. */
export function meaningOf(note: Note): string | undefined {
  const { name, type, descriptor } = note;
  if (name === "FDO" && FDO_TYPES.has(type)) return textOf(descriptor);
  if (name !== "GNU") return undefined;
  if (type === NT_GNU_BUILD_ID) return descriptor.toHex();
  if (type === NT_GNU_GOLD_VERSION) return textOf(descriptor);
  const view = new DataView(descriptor.buffer, descriptor.byteOffset, descriptor.byteLength);
  if (type === NT_GNU_PROPERTY_TYPE_0) return [...propertiesOf(view)].join("; ");
  if (type !== NT_GNU_ABI_TAG || view.byteLength < 16) return undefined;
  const [system = 0, ...version] = [0, 4, 8, 12].map((at) => view.getUint32(at, true));
  return `${SYSTEMS[system] ?? `system ${system}`} ${version.join(".")}`;
}

/** Each has a type, a size and data, padded to 8 bytes. */
function* propertiesOf(view: DataView): Generator<string> {
  for (let at = 0; at + 8 <= view.byteLength; ) {
    const [type, size] = [view.getUint32(at, true), view.getUint32(at + 4, true)];
    if (at + 8 + size > view.byteLength) return;
    const name = nameOf(PROPERTIES, type);
    const value = size === 4 ? view.getUint32(at + 8, true) : undefined;
    if (value !== undefined) yield `${name}: ${flagsOf(PROPERTY_FLAGS[name] ?? new Map(), value).join(" ") || "none"}`;
    else yield size === 0 ? name : `${name}: ${new Uint8Array(view.buffer, view.byteOffset + at + 8, size).toHex()}`;
    at += 8 + alignUp(size, 8);
  }
}

/** Without trailing NULs. */
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes).replace(/\0+$/, "");
