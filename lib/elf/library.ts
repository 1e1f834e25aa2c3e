// What a search for libraries and a plan want to know of a file, read once and
// kept after the file is closed.

import { readFileSync } from "node:fs";
import {
  DF_1_NODEFLIB,
  DF_1_NOOPEN,
  DF_1_PIE,
  DT_AUDIT,
  DT_DEPAUDIT,
  EI_CLASS,
  ELFCLASS64,
  ELFMAG,
  EM_X86_64,
  ET_EXEC,
  PF_X,
  PT_GNU_STACK,
  PT_INTERP,
  SHN_UNDEF,
  STB_GNU_UNIQUE,
} from "./constants.ts";
import { type FileImage, openImage } from "./file.ts";
import { newestOf } from "./glibc-version.ts";
import type { Filtee } from "./image.ts";
import { Sym } from "./sym.ts";
import { readTls, type Tls } from "./tls.ts";

export interface Library {
  /** Where it is, as a path of this machine, without symbolic links. */
  readonly path: string;
  /** DT_SONAME, or the name of the file. */
  readonly soname: string;
  /** It has a DT_SONAME, by which ld.so knows it from then on, however it was found. */
  readonly hasSoname: boolean;
  readonly needed: readonly string[];
  /** Whose symbols are found before its own (DT_FILTER, DT_AUXILIARY). */
  readonly filtees: readonly Filtee[];
  readonly rpath: string | undefined;
  readonly runpath: string | undefined;
  /** DF_1_NODEFLIB: the default directories are not searched for what it needs. */
  readonly avoidsDefaults: boolean;
  /** ET_EXEC: it runs at the addresses that it was linked for. */
  readonly isFixed: boolean;
  /** DF_1_PIE: it is a program, though it runs anywhere. */
  readonly isPie: boolean;
  /** DF_1_NOOPEN: it may be needed at the start of a program; dlopen does not load it, for nobody. */
  readonly isForStart: boolean;
  /** PT_GNU_STACK says so, or is not there (System V's default): all stacks have to be executable. */
  readonly wantsExecutableStack: boolean;
  /** DT_AUDIT and DT_DEPAUDIT, which count in a program: what ld.so (since 2.32) loads to watch it. */
  readonly auditors: readonly string[];
  /** PT_INTERP, which programs have, and libc: the path of an ld.so. */
  readonly interpreter: string | undefined;
  /** With an interpreter: it leaves its start to libc, as programs do that are linked as usual. */
  readonly startsByLibc: boolean;
  /** With an interpreter: it calls unshare or setns, so that what it starts may be in other namespaces than itself. */
  readonly entersNamespaces: boolean;
  /** The names of the symbol versions that it defines. */
  readonly versions: readonly string[];
  readonly tls: Tls | undefined;
  /** It defines objects of which a process has one, whoever else defines them (STB_GNU_UNIQUE). */
  readonly hasUnique: boolean;
  /** It defines malloc. */
  readonly hasMalloc: boolean;
  /** It defines C++'s operator new or delete. */
  readonly hasOperatorNew: boolean;
  /** It defines malloc, and what all of gcc's and LLVM's sanitizers that do so have: it is the runtime of one. */
  readonly isSanitizer: boolean;
  /** It defines malloc and what programs begin with, __libc_start_main: it is a libc, whosesoever. */
  readonly isLibc: boolean;
  /** The newest version of glibc's symbols that it cannot do without, such as "2.34". */
  readonly glibc: string | undefined;
  /** It uses what glibc keeps to itself (GLIBC_PRIVATE), so it works with the glibc that it was built with alone. */
  readonly isOfGlibc: boolean;
  /** Of glibc's libc and ld.so: which release it says it is, such as "2.36". */
  readonly release: string | undefined;
  /** Of glibc's libc: the directory with its character sets. */
  readonly gconv: string | undefined;
}

/** new and delete: of one object, of arrays, aligned ones (Itanium C++ ABI). */
const OPERATORS = ["_Znwm", "_ZdlPv"].flatMap((name) => [name, name.replace(/w|l/, "a"), `${name}St11align_val_t`]);

/** What says so in the files of glibc's. */
const RELEASE = / release version (\d+\.\d+)/;
const GCONV = /\0(\/[^\0]*\/gconv)\0/;
/** What the usual beginning of a program calls. */
const START = "__libc_start_main";
const SAY = new Set(["libc.so.6", "ld-linux-x86-64.so.2"]);

/** Throws what open(2) throws, and ElfError. */
export function readLibrary(path: string): Library {
  using image = openImage(path);
  const interpreter = interpreterOf(image);
  const soname = image.soname ?? path.slice(path.lastIndexOf("/") + 1);
  const wanted = image.verneeds.filter(({ isWeak }) => !isWeak).map(({ name }) => name);
  const text = SAY.has(soname) ? readFileSync(path, "latin1") : "";
  const has = (name: string) => image.find(name) !== undefined;
  const hasMalloc = has("malloc");
  return {
    path,
    soname,
    hasSoname: image.soname !== undefined,
    needed: image.needed,
    filtees: image.filtees,
    rpath: image.rpath,
    runpath: image.runpath,
    avoidsDefaults: (image.flags1 & DF_1_NODEFLIB) !== 0,
    isFixed: image.ehdr.e_type === ET_EXEC,
    isPie: (image.flags1 & DF_1_PIE) !== 0,
    isForStart: (image.flags1 & DF_1_NOOPEN) !== 0,
    wantsExecutableStack: ((image.segment(PT_GNU_STACK)?.p_flags ?? PF_X) & PF_X) !== 0,
    auditors: [DT_AUDIT, DT_DEPAUDIT].flatMap((tag) => image.dynamic.all(tag)).map((at) => image.strings.at(at)),
    interpreter,
    startsByLibc: interpreter !== undefined && refersTo(image, START),
    entersNamespaces: interpreter !== undefined && ["unshare", "setns"].some((name) => refersTo(image, name)),
    versions: image.verdefs.filter(({ isBase }) => !isBase).map(({ name }) => name),
    tls: readTls(image),
    hasUnique: hasUnique(image),
    hasMalloc,
    hasOperatorNew: OPERATORS.some(has),
    isSanitizer: hasMalloc && has("__sanitizer_install_malloc_and_free_hooks"),
    isLibc: hasMalloc && has(START),
    glibc: newestOf(wanted, "GLIBC").join(".") || undefined,
    isOfGlibc: wanted.includes("GLIBC_PRIVATE"),
    release: RELEASE.exec(text)?.[1],
    gconv: GCONV.exec(text)?.[1],
  };
}

/** Has it an undefined symbol of that name? */
function refersTo({ symbols }: FileImage, name: string): boolean {
  for (const sym of symbols) if (sym.st_shndx === SHN_UNDEF && symbols.nameOf(sym) === name) return true;
  return false;
}

/** As the kernel takes it of a program. Of a library nobody looks at it, so it need not be there. */
// Hot: libLLVM has 60,000 symbols.
function hasUnique(image: FileImage): boolean {
  if (!image.gnuHash && !image.sysvHash) return false;
  const { view } = image.symbols;
  for (let at = Sym.size; at + Sym.size <= view.byteLength; at += Sym.size)
    if (view.getUint8(at + Sym.offsetOf.st_info) >> 4 === STB_GNU_UNIQUE) return true;
  return false;
}

function interpreterOf(image: FileImage): string | undefined {
  const header = image.phdrs.find(({ p_type }) => p_type === PT_INTERP);
  if (!header || !(header.p_offset + header.p_filesz <= image.file.size)) return undefined;
  return image.file.stringAt(header.p_offset, header.p_filesz, "PT_INTERP");
}

/**
 * An ELF file for another class or machine: ld.so passes over it and searches on, where any other fault ends its
 * search.
 */
export function isForeign(head: DataView): boolean {
  if (head.byteLength < 20 || ELFMAG.some((byte, i) => head.getUint8(i) !== byte)) return false;
  return head.getUint8(EI_CLASS) !== ELFCLASS64 || head.getUint16(18, true) !== EM_X86_64;
}
