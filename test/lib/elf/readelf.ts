// What binutils' readelf says of an image, as data. It goes by the section
// headers, our reader by the dynamic section: two ways to the same tables.
// Each `…Of()` runs it for one table; `wholeOf()` runs it once for all of them.

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

export const headersOf = (path: string) => headersIn(readelf(path, "-h", "-l"));

function headersIn(lines: readonly string[]) {
  const [type] = matches(lines, /^ +Type: +(\S+)/);
  const [entry] = matches(lines, /^ +Entry point address: +0x([0-9a-f]+)/);
  const row = /^ {2}([A-Z_]+) +0x(\w+) 0x(\w+) 0x(\w+) 0x(\w+) 0x(\w+) ([R ])([W ])([E ]) (?:0x)?(\w+)/;
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

export const dynamicOf = (path: string) => dynamicIn(readelf(path, "-d"));

function dynamicIn(lines: readonly string[]) {
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
const VISIBILITIES = ["DEFAULT", "INTERNAL", "HIDDEN", "PROTECTED"];

export const symbolsOf = (path: string) =>
  symbolsIn(readelf(path, "--dyn-syms")).map(({ visibility: _, ...symbol }) => symbol);

function symbolsIn(lines: readonly string[]) {
  const named = String.raw`(\w+|<OS specific>: \d+)`;
  const row = new RegExp(String.raw`^ +\d+: ([0-9a-f]{16}) +(\w+) ${named} +${named} +(\w+) .*? (UND|ABS|\d+) (.*)$`);
  return Array.from(
    matches(lines, row),
    ([value = "", size = "", type = "", binding = "", visibility = "", index = "", name = ""]) => ({
      st_value: number(value),
      st_size: Number(size),
      // Where the header does not say that the file is for GNU, GNU's types are "<OS specific>: 10".
      type: /IFUNC|: 10$/.test(type) ? 10 : TYPES.indexOf(type),
      binding: /UNIQUE|: 10$/.test(binding) ? 10 : BINDINGS.indexOf(binding),
      visibility: VISIBILITIES.indexOf(visibility),
      st_shndx: index === "UND" ? 0 : index === "ABS" ? 0xfff1 : Number(index),
      // `name@VERSION (4)` where it is undefined
      name: name.replace(/ \(\d+\)$/, ""),
    }),
  );
}

export const versionsOf = (path: string) => versionsIn(readelf(path, "-V"));

function versionsIn(lines: readonly string[]) {
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

/** All that it says of headers, sections, dynamic section, symbols and versions. */
export function wholeOf(path: string) {
  // Parts are separated by empty lines, and begin with what they are.
  const parts = readelf(path, "-h", "-l", "-S", "-d", "-V", "--dyn-syms").join("\n").split("\n\n");
  const part = (start: string): string[] => parts.find((text) => text.trimStart().startsWith(start))?.split("\n") ?? [];
  const definitions = part("Version definition section");
  return {
    header: headerIn(part("ELF Header:")),
    phdrs: headersIn(part("Program Headers:")).phdrs,
    sections: sectionsIn(part("Section Headers:")),
    dynamic: entriesIn(part("Dynamic section at")),
    symbols: symbolsIn(part("Symbol table '.dynsym'")),
    versionIndexes: indexesIn(part("Version symbols section")),
    ...versionsIn([...definitions, ...part("Version needs section")]),
    parents: Array.from(matches(definitions, /^ {2}\w+: Parent \d+: (.*)$/), ([name]) => name),
  };
}

/** The header's fields in the order of the specification, e_ident as its bytes. */
function headerIn(lines: readonly string[]) {
  const values = lines.slice(1).map((line) => line.replace(/^.*?: +/, ""));
  const [magic = "", _class, _data, _version, _abi, _abiVersion, type = "", machine, ...numbers] = values;
  return { magic: magic.trim().replaceAll(" ", ""), type: type.split(" ")[0], machine, numbers: numbers.map(leading) };
}

/** `64 (bytes into file)` */
const leading = (text: string): number => Number(/^\w+/.exec(text)?.[0]);

function sectionsIn(lines: readonly string[]) {
  // the name of the first one is empty, and so may be the flags
  const row =
    /^ +\[ *\d+\] (.*?) +(\w+|<unknown>|[0-9a-f]+: <unknown>) +([0-9a-f]{16}) (\w+) (\w+) (\w+) +([A-Za-z]*) +(\d+) +(\d+) +(\d+)$/;
  return Array.from(matches(lines, row), ([name = "", type = "", address = "", offset = "", size = "", ...more]) => {
    const [entry = "", flags = "", link, info, align] = more;
    const hexadecimal = [address, offset, size, entry].map(number);
    return { name: name.trim(), type, flags, numbers: [...hexadecimal, ...[link, info, align].map(Number)] };
  });
}

/** Tag, and the value in readelf's words. */
const entriesIn = (lines: readonly string[]) =>
  Array.from(matches(lines, /^ 0x([0-9a-f]{16}) \(.*?\) *(.*)$/), ([tag = "", value = ""]) => ({
    tag: number(tag),
    value: value.trim(),
  }));

/** Of each symbol, with "h" where it is hidden. */
const indexesIn = (lines: readonly string[]) =>
  lines
    .filter((line) => /^ {2}[0-9a-f]{3,}: /.test(line))
    .flatMap((line) =>
      Array.from(line.matchAll(/ ([0-9a-f]+)([h ])\(/g), ([, index, mark]) => `${index}${mark}`.trim()),
    );

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
