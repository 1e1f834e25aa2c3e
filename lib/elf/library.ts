// What a search for libraries and a plan want to know of a file, read once and
// kept after the file is closed.

import { DF_1_NODEFLIB, EI_CLASS, ELFCLASS64, ELFMAG, EM_X86_64, ET_EXEC, PT_INTERP } from "./constants.ts";
import { openImage } from "./file.ts";
import { readTls, type Tls } from "./tls.ts";

export interface Library {
  /** Where it is, as a path of this machine, without symbolic links. */
  readonly path: string;
  /** DT_SONAME, or the name of the file. */
  readonly soname: string;
  readonly needed: readonly string[];
  readonly rpath: string | undefined;
  readonly runpath: string | undefined;
  /** DF_1_NODEFLIB: the default directories are not searched for what it needs. */
  readonly avoidsDefaults: boolean;
  /** ET_EXEC: it runs at the addresses that it was linked for. */
  readonly isFixed: boolean;
  /** PT_INTERP: it is a program. */
  readonly hasInterpreter: boolean;
  /** The names of the symbol versions that it defines. */
  readonly versions: readonly string[];
  readonly tls: Tls | undefined;
  /** It defines malloc. */
  readonly hasMalloc: boolean;
}

/** Throws what open(2) throws, and ElfError. */
export function readLibrary(path: string): Library {
  using image = openImage(path);
  return {
    path,
    soname: image.soname ?? path.slice(path.lastIndexOf("/") + 1),
    needed: image.needed,
    rpath: image.rpath,
    runpath: image.runpath,
    avoidsDefaults: (image.flags1 & DF_1_NODEFLIB) !== 0,
    isFixed: image.ehdr.e_type === ET_EXEC,
    hasInterpreter: image.segment(PT_INTERP) !== undefined,
    versions: image.verdefs.filter(({ isBase }) => !isBase).map(({ name }) => name),
    tls: readTls(image),
    hasMalloc: image.find("malloc") !== undefined,
  };
}

/** An ELF file for another class or machine: ld.so passes over it and searches on, where any other fault ends its search. */
export function isForeign(head: DataView): boolean {
  if (head.byteLength < 20 || ELFMAG.some((byte, i) => head.getUint8(i) !== byte)) return false;
  return head.getUint8(EI_CLASS) !== ELFCLASS64 || head.getUint16(18, true) !== EM_X86_64;
}
