// What the library search and a plan need to know about a file, read once and kept after the file is closed.

import { toOffset } from "../memory/numbers.ts";
import * as elf from "./constants.ts";
import { type FileImage, openImage } from "./file.ts";
import { newestOf } from "./glibc-version.ts";
import type { Filtee } from "./image.ts";
import { readTls, type Tls } from "./tls.ts";

export interface Library {
  /** Its path on this machine, without symbolic links. */
  readonly path: string;
  /** DT_SONAME, or the file name. */
  readonly soname: string;
  /** It has a DT_SONAME, by which ld.so knows it once loaded, however it was found. */
  readonly hasSoname: boolean;
  readonly needed: readonly string[];
  /** Libraries whose symbols take precedence over its own (DT_FILTER, DT_AUXILIARY). */
  readonly filtees: readonly Filtee[];
  readonly rpath: string | undefined;
  readonly runpath: string | undefined;
  /** DF_1_NODEFLIB: the default directories are not searched for its dependencies. */
  readonly avoidsDefaults: boolean;
  /** ET_EXEC: it runs only at the addresses that it was linked for. */
  readonly isFixed: boolean;
  /** DF_1_PIE: it is a program, though it runs at any address. */
  readonly isPie: boolean;
  /** DF_1_NOOPEN: it loads only at the start of a program; dlopen always refuses it. */
  readonly isForStart: boolean;
  /** All stacks must be executable: PT_GNU_STACK says so, or is missing (System V's default). */
  readonly wantsExecutableStack: boolean;
  /** DT_AUDIT and DT_DEPAUDIT, which count in a program: what ld.so (since 2.32) loads to audit it. */
  readonly auditors: readonly string[];
  /** PT_INTERP, in programs and libc: the path of an ld.so. */
  readonly interpreter: string | undefined;
  /** With an interpreter: libc starts it, as it does normally linked programs. */
  readonly startsByLibc: boolean;
  /** With an interpreter: it calls unshare or setns, so programs that it starts may be in other kernel namespaces. */
  readonly entersNamespaces: boolean;
  /** The names of the symbol versions that it defines. */
  readonly versions: readonly string[];
  readonly tls: Tls | undefined;
  /** The files of which it needs versions (DT_VERNEED) although its DT_NEEDED does not have them. */
  readonly versionsBeside: readonly string[];
  /** It defines objects that exist once per process, whoever else defines them (STB_GNU_UNIQUE). */
  readonly hasUnique: boolean;
  /** It defines malloc. */
  readonly hasMalloc: boolean;
  /** It defines C++'s operator new or delete. */
  readonly hasOperatorNew: boolean;
  /** It is a sanitizer runtime: it defines malloc, and the symbol that all such sanitizers of gcc and LLVM have. */
  readonly isSanitizer: boolean;
  /** It is some libc: it defines malloc and __libc_start_main, which programs start with. */
  readonly isLibc: boolean;
  /** The newest glibc symbol version that it requires, such as "2.34". */
  readonly glibc: string | undefined;
  /** It uses glibc internals (GLIBC_PRIVATE), so it works only with the glibc that it was built with. */
  readonly isOfGlibc: boolean;
  /** For glibc's libc and ld.so: the release that they report, such as "2.36". */
  readonly release: string | undefined;
  /** For glibc's libc: the directory of its character sets. */
  readonly gconv: string | undefined;
}

/** new and delete: for one object, for arrays, and aligned (Itanium C++ ABI). */
const OPERATORS = ["_Znwm", "_ZdlPv"].flatMap((name) => [name, name.replace(/w|l/, "a"), `${name}St11align_val_t`]);

/** What the usual startup code of a program calls. */
const START = "__libc_start_main";
const SAY = new Set(["libc.so.6", "ld-linux-x86-64.so.2"]);

/** Throws what open(2) throws, and ElfError. */
export function readLibrary(path: string): Library {
  using image = openImage(path);
  const interpreter = interpreterOf(image);
  const soname = image.soname ?? path.slice(path.lastIndexOf("/") + 1);
  const { needed, verneeds } = image;
  const wanted = verneeds.filter(({ isWeak }) => !isWeak).map(({ name }) => name);
  const { release, gconv } = SAY.has(soname) ? saidBy(image) : {};
  const has = (name: string) => image.find(name) !== undefined;
  const hasMalloc = has("malloc");
  return {
    path,
    soname,
    hasSoname: image.soname !== undefined,
    needed,
    filtees: image.filtees,
    rpath: image.rpath,
    runpath: image.runpath,
    avoidsDefaults: (image.flags1 & elf.DF_1_NODEFLIB) !== 0,
    isFixed: image.ehdr.e_type === elf.ET_EXEC,
    isPie: (image.flags1 & elf.DF_1_PIE) !== 0,
    isForStart: (image.flags1 & elf.DF_1_NOOPEN) !== 0,
    wantsExecutableStack: ((image.segment(elf.PT_GNU_STACK)?.p_flags ?? elf.PF_X) & elf.PF_X) !== 0,
    auditors: [elf.DT_AUDIT, elf.DT_DEPAUDIT]
      .flatMap((tag) => image.dynamic.all(tag))
      .map((at) => image.strings.at(at)),
    interpreter,
    startsByLibc: interpreter !== undefined && refersTo(image, START),
    entersNamespaces: interpreter !== undefined && ["unshare", "setns"].some((name) => refersTo(image, name)),
    versions: image.verdefs.filter(({ isBase }) => !isBase).map(({ name }) => name),
    versionsBeside: [...new Set(verneeds.map(({ file }) => file).filter((file) => !needed.includes(file)))],
    tls: readTls(image),
    hasUnique: hasUnique(image),
    hasMalloc,
    hasOperatorNew: OPERATORS.some(has),
    isSanitizer: hasMalloc && has("__sanitizer_install_malloc_and_free_hooks"),
    isLibc: hasMalloc && has(START),
    glibc: newestOf(wanted, "GLIBC").join(".") || undefined,
    isOfGlibc: wanted.includes("GLIBC_PRIVATE"),
    release,
    gconv,
  };
}

/** Text in glibc's own files. The release is in the banner: "GNU C Library … stable release version 2.36." */
const BANNER = " release version ";
const GCONV = "/gconv\0";

function saidBy({ file }: FileImage): Pick<Library, "release" | "gconv"> {
  const { buffer, byteOffset, byteLength } = file.view(toOffset(0), file.size, "file");
  const text = Buffer.from(buffer, byteOffset, byteLength);
  let release: string | undefined;
  for (let at = text.indexOf(BANNER); at >= 0 && release === undefined; at = text.indexOf(BANNER, at + 1))
    release = /^\d+\.\d+/.exec(text.toString("latin1", at + BANNER.length, at + BANNER.length + 16))?.[0];
  let gconv: string | undefined;
  for (let at = text.indexOf(GCONV); at > 0 && gconv === undefined; at = text.indexOf(GCONV, at + 1)) {
    const string = text.toString("latin1", text.lastIndexOf(0, at) + 1, at + GCONV.length - 1);
    if (/^\/.*\/gconv$/s.test(string)) gconv = string;
  }
  return { release, gconv };
}

/** Does it have an undefined symbol of that name? */
function refersTo({ symbols }: FileImage, name: string): boolean {
  for (const sym of symbols) if (sym.st_shndx === elf.SHN_UNDEF && symbols.nameOf(sym) === name) return true;
  return false;
}

// Hot: libLLVM has 60,000 symbols.
function hasUnique(image: FileImage): boolean {
  if (!image.gnuHash && !image.sysvHash) return false;
  const { symbols } = image;
  for (let i = 1; i < symbols.length; i++) if (symbols.binding(i) === elf.STB_GNU_UNIQUE) return true;
  return false;
}

/** Read as the kernel reads it in a program. In a library nothing reads it, so its bytes may be missing. */
function interpreterOf(image: FileImage): string | undefined {
  const header = image.phdrs.find(({ p_type }) => p_type === elf.PT_INTERP);
  if (!header || !(header.p_offset + header.p_filesz <= image.file.size)) return undefined;
  return image.file.stringAt(header.p_offset, header.p_filesz, "PT_INTERP");
}

/** An ELF file for another class or machine: ld.so skips it and searches on, while any other fault ends its search. */
export function isForeign(head: DataView): boolean {
  if (head.byteLength < 20 || elf.ELFMAG.some((byte, i) => head.getUint8(i) !== byte)) return false;
  return head.getUint8(elf.EI_CLASS) !== elf.ELFCLASS64 || head.getUint16(18, true) !== elf.EM_X86_64;
}
