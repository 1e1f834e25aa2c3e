// Trees to search in: libraries of a few hundred bytes, with nothing in them but what a search reads.

import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Tree } from "../../../lib/tree/tree.ts";
import { assemble, half, type Part, text, word, xword } from "../elf/bytes.ts";

export interface LibrarySaid {
  readonly soname?: string;
  readonly needed?: readonly string[];
  readonly rpath?: string;
  readonly runpath?: string;
  /** DT_FLAGS_1 */
  readonly flags1?: number;
  /** ELFCLASS32 = 1, ELFCLASS64 = 2 */
  readonly elfClass?: number;
  readonly machine?: number;
  /** In front of all other entries, to make files differ. */
  readonly comment?: string;
}

/** A shared object that says this of itself. */
export function library(said: LibrarySaid): Uint8Array {
  const { soname, needed = [], rpath, runpath, flags1, elfClass = 2, machine = 62, comment = "" } = said;
  const strings = ["", comment];
  const string = (value: string): number => {
    const at = strings.reduce((size, before) => size + text(before).length, 0);
    strings.push(value);
    return at;
  };
  const entries: [tag: number, value: number][] = needed.map((name) => [1, string(name)]);
  if (soname !== undefined) entries.push([14, string(soname)]);
  if (rpath !== undefined) entries.push([15, string(rpath)]);
  if (runpath !== undefined) entries.push([29, string(runpath)]);
  if (flags1 !== undefined) entries.push([0x6ffffffb, flags1]);
  const size = strings.flatMap(text).length;
  const parts: Part[] = [
    [
      "ehdr",
      (at) => [
        [0x7f, 0x45, 0x4c, 0x46, elfClass, 1, 1, 0],
        xword(0),
        ...[half(3), half(machine), word(1), xword(0), xword(at("phdrs")), xword(0), word(0)],
        ...[half(64), half(56), half(2), half(0), half(0), half(0)],
      ],
    ],
    [
      "phdrs",
      (at) => [
        ...[word(1), word(6), xword(0), xword(0), xword(0), xword(at("end")), xword(at("end")), xword(0x1000)],
        ...[word(2), word(6), xword(at("dynamic")), xword(at("dynamic")), xword(at("dynamic"))],
        ...[xword(at("end") - at("dynamic")), xword(at("end") - at("dynamic")), xword(8)],
      ],
    ],
    ["strings", () => strings.map(text)],
    // one bucket, one symbol, which is the null symbol
    ["hash", () => [word(1), word(1), word(0), word(0)]],
    ["symbols", () => [xword(0), xword(0), xword(0)]],
    [
      "dynamic",
      (at) => {
        const tables: [number, number][] = [
          [5, at("strings")],
          [10, size],
          [6, at("symbols")],
          [11, 24],
          [4, at("hash")],
        ];
        return [...entries, ...tables, [0, 0] as const].map(([tag, value]) => [...xword(tag), ...xword(value)]);
      },
    ],
    ["end", () => []],
  ];
  return assemble(parts).bytes;
}

/** What is at a path: a library, a link ("-> target"), or other bytes. */
export type Content = LibrarySaid | `-> ${string}` | Uint8Array;

export class SmallTree implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "capsule-tree-"));

  constructor(content: Readonly<Record<string, Content>> = {}) {
    for (const [path, what] of Object.entries(content)) this.add(path, what);
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** A path of the tree as one of this machine. */
  path(path: string): string {
    return join(this.directory, path);
  }

  add(path: string, what: Content): string {
    const at = this.path(path);
    mkdirSync(dirname(at), { recursive: true });
    if (typeof what === "string") symlinkSync(what.slice("-> ".length), at);
    else writeFileSync(at, what instanceof Uint8Array ? what : library(what));
    return at;
  }

  get tree(): Tree {
    return new Tree(this.directory);
  }
}
