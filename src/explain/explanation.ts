// What a dynamic linker does with a program, step by step, as data: found out by a
// simulation over the files, which changes nothing. Addresses are in hexadecimal, and made
// up but for those of a program at a fixed address; sizes are in bytes.

/** What has to be known of them, for whoever reads them. */
export const ADDRESSES =
  "Addresses are made up, each library below the one before: real ones differ from run to run. Only a program that is linked for fixed addresses has its own.";

/** The six steps, in order. */
export interface Explanation {
  /** The program's file. */
  readonly program: string;
  readonly context: ContextStep;
  readonly objects: readonly ExplainedObject[];
  /** In the order in which they are done: who is needed comes first. */
  readonly relocations: readonly ExplainedRelocation[];
  /** What had to be told: a symbol that nobody defines, a copy of another size. */
  readonly warnings: readonly string[];
  /** In the order in which they are called: the first thousand, and how many there are in all. */
  readonly initializers: readonly ExplainedFunction[];
  readonly initializerCount: number;
  readonly entry: ExplainedFunction;
  /** As `initializers`. */
  readonly finalizers: readonly ExplainedFunction[];
  readonly finalizerCount: number;
  /** Undefined where it could be run by capsule link; else why not. */
  readonly isOnlyShown: string | undefined;
}

/** 1. What the kernel has put on the stack. */
export interface ContextStep {
  readonly arguments: readonly string[];
  /** How many variables there are. */
  readonly environment: number;
  readonly auxiliary: readonly {
    readonly name: string;
    /** Undefined where the kernel says in each process something else. */
    readonly value: string | undefined;
    readonly meaning: string | undefined;
  }[];
  /** How the program's load bias is found: AT_PHDR less PT_PHDR's vaddr. */
  readonly loadBias: { readonly headersAt: string; readonly vaddr: string; readonly bias: string } | undefined;
}

/** 2. An object, and where it is mapped. */
export interface ExplainedObject {
  /** Its place in the link map; the program's is 0. */
  readonly index: number;
  readonly name: string;
  readonly path: string;
  /** Which step of the search gave it; undefined for the program. */
  readonly why: string | undefined;
  /** Of the objects that it needs itself. */
  readonly needs: readonly number[];
  readonly loadBias: string;
  readonly start: string;
  readonly end: string;
  readonly segments: readonly ExplainedSegment[];
  /** RELRO: pages that become read-only when all is relocated. */
  readonly relro: { readonly start: string; readonly end: string } | undefined;
  readonly tls: ExplainedTls | undefined;
  /** How many relocations are relative: they need no symbol, and are not listed one by one. */
  readonly relative: number;
}

/** An object's thread-local block: so many bytes below the thread pointer. */
interface ExplainedTls {
  readonly module: number;
  readonly offset: number;
  readonly size: number;
  /** What each thread's block begins as (PT_TLS); undefined where that is zeroes alone. */
  readonly image: { readonly start: string; readonly end: string } | undefined;
}

export interface ExplainedSegment {
  readonly start: string;
  readonly end: string;
  /** As it is mapped, before RELRO: "r-x". */
  readonly protection: string;
  /** Of the file; undefined for pages of zeroes. */
  readonly offset: string | undefined;
}

/** 3. A relocation that has a symbol, or is done by a call. */
export interface ExplainedRelocation {
  /** Of the object that has it, in the link map. */
  readonly object: number;
  readonly table: "DT_RELR" | "DT_RELA" | "DT_JMPREL";
  /** "R_X86_64_GLOB_DAT" */
  readonly type: string;
  /** Of the slot. */
  readonly at: string;
  readonly vaddr: string;
  readonly symbol: string | undefined;
  readonly version: string | undefined;
  readonly addend: string;
  /** Who defines it, by the link map; undefined for a weak symbol that nobody defines, or where there is none. */
  readonly definer: number | undefined;
  /** What is written; undefined where a call will say it, or bytes are copied. */
  readonly value: string | undefined;
  /** COPY: from where, and how many bytes. */
  readonly copied: { readonly from: string; readonly length: number } | undefined;
  /** IFUNC: the function that is called to choose. */
  readonly resolver: string | undefined;
  /** Who was asked, in order, by the link map, each with what it said: "has it", "does not have it", … */
  readonly searched: readonly { readonly object: number; readonly answer: string }[];
}

/** 4., 5. and 6. */
export interface ExplainedFunction {
  readonly object: number;
  /** DT_INIT, DT_INIT_ARRAY[0], e_entry, … */
  readonly from: string;
  readonly address: string;
  /** The symbol that is there, if the object says so. */
  readonly symbol: string | undefined;
}
