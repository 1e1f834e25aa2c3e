// What binutils' readelf says of an image, as data. It goes by the section
// headers, our reader by the dynamic section: two ways to the same tables.

import { run } from "./scratch.ts";

const readelf = (path: string, ...options: string[]): string[] => run(["readelf", ...options, "-W", path]).split("\n");

/** The groups of every line that matches. */
function* matches(lines: readonly string[], pattern: RegExp): Generator<string[]> {
  for (const line of lines) {
    const match = pattern.exec(line);
    if (match) yield match.slice(1).map((group) => group ?? "");
  }
}

const number = (hex: string): number => Number.parseInt(hex, 16);

const SEGMENTS: Readonly<Record<string, number>> = {
  LOAD: 1,
  DYNAMIC: 2,
  INTERP: 3,
  NOTE: 4,
  PHDR: 6,
  TLS: 7,
  GNU_EH_FRAME: 0x6474e550,
  GNU_STACK: 0x6474e551,
  GNU_RELRO: 0x6474e552,
  GNU_PROPERTY: 0x6474e553,
};

export function headersOf(path: string) {
  const lines = readelf(path, "-h", "-l");
  const [type] = matches(lines, /^ +Type: +(\S+)/);
  const [entry] = matches(lines, /^ +Entry point address: +0x([0-9a-f]+)/);
  const row = /^ {2}([A-Z_]+) +0x(\w+) 0x(\w+) 0x(\w+) 0x(\w+) 0x(\w+) ([R ])([W ])([E ]) 0x(\w+)/;
  const phdrs = Array.from(
    matches(lines, row),
    ([name = "", offset = "", vaddr = "", paddr = "", filesz = "", ...more]) => {
      const [memsz = "", r, w, x, align = ""] = more;
      return {
        p_type: SEGMENTS[name],
        p_flags: (r === "R" ? 4 : 0) | (w === "W" ? 2 : 0) | (x === "E" ? 1 : 0),
        p_offset: number(offset),
        p_vaddr: number(vaddr),
        p_paddr: number(paddr),
        p_filesz: number(filesz),
        p_memsz: number(memsz),
        p_align: number(align),
      };
    },
  );
  return { type: type?.[0], entry: number(entry?.[0] ?? ""), phdrs };
}

export function dynamicOf(path: string) {
  const lines = readelf(path, "-d");
  const tags = Array.from(matches(lines, /^ 0x([0-9a-f]{16}) \(/), ([tag = ""]) => number(tag));
  const named = (what: string) => Array.from(matches(lines, new RegExp(`${what}: \\[(.*)\\]$`)), ([name = ""]) => name);
  return {
    // readelf shows DT_NULL too
    tags: tags.slice(0, tags.indexOf(0)),
    needed: named("Shared library"),
    soname: named("Library soname")[0],
    rpath: named("Library rpath")[0],
    runpath: named("Library runpath")[0],
  };
}

const BINDINGS = ["LOCAL", "GLOBAL", "WEAK"];
const TYPES = ["NOTYPE", "OBJECT", "FUNC", "SECTION", "FILE", "COMMON", "TLS"];

export function symbolsOf(path: string) {
  const row = /^ +\d+: ([0-9a-f]{16}) +(\w+) (\w+) +(\w+) +(\w+) .*? (UND|ABS|\d+) (.*)$/;
  return Array.from(
    matches(readelf(path, "--dyn-syms"), row),
    ([value = "", size = "", type = "", binding = "", _visibility, index = "", name = ""]) => ({
      st_value: number(value),
      st_size: Number(size),
      type: type === "IFUNC" ? 10 : TYPES.indexOf(type),
      binding: binding === "UNIQUE" ? 10 : BINDINGS.indexOf(binding),
      st_shndx: index === "UND" ? 0 : index === "ABS" ? 0xfff1 : Number(index),
      // `name@VERSION (4)` where it is undefined
      name: name.replace(/ \(\d+\)$/, ""),
    }),
  );
}

export function versionsOf(path: string) {
  const lines = readelf(path, "-V");
  const definition = /^ {2}\w+: Rev: 1 {2}Flags: (.*?) +Index: (\d+) {2}Cnt: \d+ {2}Name: (.*)$/;
  const verdefs = Array.from(matches(lines, definition), ([flags = "", index = "", name = ""]) => ({
    index: Number(index),
    name,
    isBase: flags.includes("BASE"),
    isWeak: flags.includes("WEAK"),
  }));
  const verneeds = [];
  let file = "";
  for (const line of lines) {
    file = /^ {2}\w+: Version: 1 {2}File: (.*) {2}Cnt: \d+$/.exec(line)?.[1] ?? file;
    const need = /^ {2}\w+: +Name: (.*) {2}Flags: (.*) {2}Version: (\d+)$/.exec(line);
    const [, name = "", flags = "", index = ""] = need ?? [];
    if (need) verneeds.push({ file, index: Number(index), name, isWeak: flags.includes("WEAK") });
  }
  return { verdefs, verneeds };
}

export function relocationsOf(path: string) {
  const rela: { r_offset: number; r_type: number; r_sym: number; r_addend: number }[] = [];
  const jmprel: typeof rela = [];
  const relr: number[] = [];
  let section = "";
  for (const line of readelf(path, "-r")) {
    section = /^Relocation section '(.*)' at/.exec(line)?.[1] ?? section;
    const [, offset, sym = "", type = "", rest = ""] = /^([0-9a-f]{16}) {2}(.{8})(.{8}) \w+ *(.*)$/.exec(line) ?? [];
    // `symbol + 8`, `symbol - 8`, or the addend alone
    const [, sign, addend = "0"] = /(?:^|([+-]) )(-?[0-9a-f]+)$/.exec(rest) ?? [];
    if (offset !== undefined) {
      const r_addend = sign === "-" ? -number(addend) : number(addend);
      const table = section === ".rela.plt" ? jmprel : rela;
      table.push({ r_offset: number(offset), r_type: number(type), r_sym: number(sym), r_addend });
    } else if (/^[0-9a-f]{16}$/.test(line)) relr.push(number(line));
  }
  return { rela, jmprel, relr };
}

/** The size of a section in bytes, or undefined where the image has none of that name. */
export function sectionSizeOf(path: string, section: string): number | undefined {
  const row = /^ +\[ *\d+\] (\S+) +\S+ +[0-9a-f]{16} [0-9a-f]+ ([0-9a-f]+) /;
  for (const [name, size = ""] of matches(readelf(path, "-S"), row)) if (name === section) return number(size);
  return undefined;
}

export function buildIdOf(path: string): string | undefined {
  const [id] = matches(readelf(path, "-n"), /\sBuild ID: ([0-9a-f]+)$/);
  return id?.[0];
}
