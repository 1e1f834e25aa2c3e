// Names of ELF's numbers: the gABI's, the x86-64 psABI's and GNU's, all that a program or library for Linux may have
// (modelled on <elf.h> of glibc 2.36). Names are listed in numeric order; "-" marks a number without a name.

import { hex } from "../memory/numbers.ts";

/** Names by number. */
export type Names = ReadonlyMap<number, string>;

/** Each list of names starts at the number before it. */
function numbered(prefix: string, ...lists: readonly (readonly [first: number, names: string])[]): Names {
  const names = new Map<number, string>();
  for (const [first, list] of lists)
    for (const [i, name] of list.split(" ").entries()) if (name !== "-") names.set(first + i, prefix + name);
  return names;
}

/** Flags by value. `list` names the bits from bit 0 on. */
function flags(prefix: string, list: string): Names {
  return new Map([...numbered(prefix, [0, list])].map(([bit, name]) => [2 ** bit, name]));
}

export const OBJECT_TYPES = numbered("ET_", [0, "NONE REL EXEC DYN CORE"]);
export const OS_ABIS = numbered("ELFOSABI_", [
  0,
  "SYSV HPUX NETBSD GNU - - SOLARIS AIX IRIX FREEBSD TRU64 MODESTO OPENBSD",
]);

export const SEGMENT_TYPES = numbered(
  "PT_",
  [0, "NULL LOAD DYNAMIC INTERP NOTE SHLIB PHDR TLS"],
  [0x6474e550, "GNU_EH_FRAME GNU_STACK GNU_RELRO GNU_PROPERTY GNU_SFRAME"],
);
export const SEGMENT_FLAGS = flags("PF_", "X W R");

export const SECTION_TYPES = numbered(
  "SHT_",
  [0, "NULL PROGBITS SYMTAB STRTAB RELA HASH DYNAMIC NOTE NOBITS REL SHLIB DYNSYM - - INIT_ARRAY FINI_ARRAY"],
  [16, "PREINIT_ARRAY GROUP SYMTAB_SHNDX RELR"],
  [0x6ffffff5, "GNU_ATTRIBUTES GNU_HASH GNU_LIBLIST CHECKSUM"],
  [0x6ffffffd, "GNU_verdef GNU_verneed GNU_versym"],
  [0x70000001, "X86_64_UNWIND"],
);
/** SHF_EXCLUDE (bit 31) and the other high bits belong to relocatable files, but a linker may leave them. */
export const SECTION_FLAGS: Names = new Map([
  ...flags("SHF_", "WRITE ALLOC EXECINSTR - MERGE STRINGS INFO_LINK LINK_ORDER OS_NONCONFORMING GROUP TLS COMPRESSED"),
  [2 ** 21, "SHF_GNU_RETAIN"],
  [2 ** 28, "SHF_X86_64_LARGE"],
  [2 ** 30, "SHF_ORDERED"],
  [2 ** 31, "SHF_EXCLUDE"],
]);

export const TAGS = numbered(
  "DT_",
  [0, "NULL NEEDED PLTRELSZ PLTGOT HASH STRTAB SYMTAB RELA RELASZ RELAENT STRSZ SYMENT INIT FINI SONAME RPATH"],
  [16, "SYMBOLIC REL RELSZ RELENT PLTREL DEBUG TEXTREL JMPREL BIND_NOW INIT_ARRAY FINI_ARRAY INIT_ARRAYSZ"],
  [28, "FINI_ARRAYSZ RUNPATH FLAGS - PREINIT_ARRAY PREINIT_ARRAYSZ SYMTAB_SHNDX RELRSZ RELR RELRENT"],
  [0x6ffffdf5, "GNU_PRELINKED GNU_CONFLICTSZ GNU_LIBLISTSZ CHECKSUM PLTPADSZ MOVEENT MOVESZ FEATURE_1 POSFLAG_1"],
  [0x6ffffdfe, "SYMINSZ SYMINENT"],
  [0x6ffffef5, "GNU_HASH TLSDESC_PLT TLSDESC_GOT GNU_CONFLICT GNU_LIBLIST CONFIG DEPAUDIT AUDIT PLTPAD MOVETAB"],
  [0x6ffffeff, "SYMINFO"],
  [0x6ffffff0, "VERSYM"],
  [0x6ffffff9, "RELACOUNT RELCOUNT FLAGS_1 VERDEF VERDEFNUM VERNEED VERNEEDNUM"],
  // With -z mark-plt (binutils 2.41 and newer).
  [0x70000000, "X86_64_PLT X86_64_PLTSZ - X86_64_PLTENT"],
  [0x7ffffffd, "AUXILIARY - FILTER"],
);
export const FLAGS = flags("DF_", "ORIGIN SYMBOLIC TEXTREL BIND_NOW STATIC_TLS");
export const FLAGS_1 = flags(
  "DF_1_",
  [
    "NOW GLOBAL GROUP NODELETE LOADFLTR INITFIRST NOOPEN ORIGIN DIRECT TRANS INTERPOSE NODEFLIB NODUMP CONFALT",
    "ENDFILTEE DISPRELDNE DISPRELPND NODIRECT IGNMULDEF NOKSYMS NOHDR EDITED NORELOC SYMINTPOSE GLOBAUDIT",
    "SINGLETON STUB PIE KMOD WEAKFILTER NOCOMMON",
  ].join(" "),
);
export const VERSION_FLAGS = flags("VER_FLG_", "BASE WEAK");

export const RELOCATION_TYPES = numbered(
  "R_X86_64_",
  [0, "NONE 64 PC32 GOT32 PLT32 COPY GLOB_DAT JUMP_SLOT RELATIVE GOTPCREL 32 32S 16 PC16 8 PC8"],
  [16, "DTPMOD64 DTPOFF64 TPOFF64 TLSGD TLSLD DTPOFF32 GOTTPOFF TPOFF32 PC64 GOTOFF64 GOTPC32 GOT64 GOTPCREL64"],
  [29, "GOTPC64 GOTPLT64 PLTOFF64 SIZE32 SIZE64 GOTPC32_TLSDESC TLSDESC_CALL TLSDESC IRELATIVE RELATIVE64"],
  [41, "GOTPCRELX REX_GOTPCRELX"],
);

/** Types of the kernel's auxiliary values, here of <asm/auxvec.h>, too. */
export const AUXILIARY_TYPES = numbered(
  "AT_",
  [2, "EXECFD PHDR PHENT PHNUM PAGESZ BASE FLAGS ENTRY - UID EUID GID EGID PLATFORM HWCAP CLKTCK"],
  [23, "SECURE BASE_PLATFORM RANDOM HWCAP2 RSEQ_FEATURE_SIZE RSEQ_ALIGN HWCAP3 HWCAP4 EXECFN - SYSINFO_EHDR"],
  [51, "MINSIGSTKSZ"],
);

/** Types of notes named "GNU". */
export const GNU_NOTE_TYPES = numbered("NT_", [
  1,
  "GNU_ABI_TAG GNU_HWCAP GNU_BUILD_ID GNU_GOLD_VERSION GNU_PROPERTY_TYPE_0",
]);

/** Properties in an NT_GNU_PROPERTY_TYPE_0 note. */
export const PROPERTIES = numbered(
  "GNU_PROPERTY_",
  [1, "STACK_SIZE NO_COPY_ON_PROTECTED"],
  [0xb0008000, "1_NEEDED"],
  [0xc0000002, "X86_FEATURE_1_AND"],
  [0xc0008001, "X86_FEATURE_2_NEEDED X86_ISA_1_NEEDED"],
  [0xc0010001, "X86_FEATURE_2_USED X86_ISA_1_USED"],
);
export const X86_FEATURES = flags("", "IBT SHSTK LAM_U48 LAM_U57");
/** The psABI's microarchitecture levels. */
export const X86_ISA_LEVELS = flags("", "x86-64-baseline x86-64-v2 x86-64-v3 x86-64-v4");

/** The name, or the number if it has none. */
export const nameOf = (names: Names, value: number): string => names.get(value) ?? hex(value);

/** The names of the flags that are set, and one number for the unnamed rest. */
export function flagsOf(names: Names, value: number): string[] {
  const known = [...names].filter(([flag]) => Math.floor(value / flag) % 2 === 1);
  const rest = known.reduce((left, [flag]) => left - flag, value);
  return [...known.map(([, name]) => name), ...(rest > 0 ? [hex(rest)] : [])];
}
