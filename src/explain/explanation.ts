// What a dynamic linker does with a program, step by step, as data, from a simulation over the files without side
// effects. Addresses are in hexadecimal, and invented except for a program linked at a fixed address. Sizes are in
// bytes.

/** A note on the addresses, for readers. */
export const ADDRESSES =
  "Addresses are made up, each library below the one before: real ones differ from run to run. Only a program that is linked for fixed addresses has its own.";

export interface Explanation {
  /** The path of the program's file. */
  readonly program: string;
  readonly context: ContextStep;
  readonly objects: readonly ExplainedObject[];
  /** In the order in which they are applied: dependencies come first. */
  readonly relocations: readonly ExplainedRelocation[];
  /** Problems, such as a symbol that nothing defines, or a copy relocation with another size. */
  readonly warnings: readonly string[];
  /** The first thousand, in call order, and the number of all. */
  readonly initializers: readonly ExplainedFunction[];
  readonly initializerCount: number;
  readonly entry: ExplainedFunction;
  /** Like `initializers`. */
  readonly finalizers: readonly ExplainedFunction[];
  readonly finalizerCount: number;
  /** Why capsule link cannot run it. Undefined if it can. */
  readonly isOnlyShown: string | undefined;
}

/** 1. What the kernel has put on the stack. */
export interface ContextStep {
  readonly arguments: readonly string[];
  /** The number of environment variables. */
  readonly environment: number;
  readonly auxiliary: readonly {
    readonly name: string;
    /** Undefined if the kernel sets another value in each process. */
    readonly value: string | undefined;
    readonly meaning: string | undefined;
  }[];
  /** How the program's load bias is found: AT_PHDR minus PT_PHDR's vaddr. */
  readonly loadBias: { readonly headersAt: string; readonly vaddr: string; readonly bias: string } | undefined;
}

/** Addresses; `end` is behind the last byte. */
export interface Range {
  readonly start: string;
  readonly end: string;
}

/** 2. An object, and where it is mapped. */
export interface ExplainedObject extends Range {
  /** Its index in the link map. The program's is 0. */
  readonly index: number;
  readonly name: string;
  readonly path: string;
  /** The step of the search that found it. Undefined for the program. */
  readonly why: string | undefined;
  /** The indices of its direct dependencies. */
  readonly needs: readonly number[];
  readonly loadBias: string;
  readonly segments: readonly ExplainedSegment[];
  /** RELRO: pages that become read-only after relocation. */
  readonly relro: Range | undefined;
  /** Its thread-local block, `offset` bytes below the thread pointer. */
  readonly tls:
    | {
        readonly module: number;
        readonly offset: number;
        readonly size: number;
        /** The initial image of each thread's block (PT_TLS). Undefined if it is all zeroes. */
        readonly image: Range | undefined;
      }
    | undefined;
  /** The number of relative relocations. They need no symbol, and are not listed. */
  readonly relative: number;
}

export interface ExplainedSegment extends Range {
  /** The protection before RELRO: "r-x". */
  readonly protection: string;
  /** The offset in the file. Undefined for zero pages. */
  readonly offset: string | undefined;
}

/** 3. A relocation that has a symbol, or that needs a call. */
export interface ExplainedRelocation {
  /** The index of its object in the link map. */
  readonly object: number;
  readonly table: "DT_RELR" | "DT_RELA" | "DT_JMPREL";
  /** "R_X86_64_GLOB_DAT" */
  readonly type: string;
  /** The address of the slot. */
  readonly at: string;
  readonly vaddr: string;
  readonly symbol: string | undefined;
  readonly version: string | undefined;
  readonly addend: string;
  /** The link map index of the definer. Undefined for a weak symbol that nothing defines, or if there is no symbol. */
  readonly definer: number | undefined;
  /** The value written. Undefined if a call determines it, or bytes are copied. */
  readonly value: string | undefined;
  /** COPY: the source address, and the number of bytes. */
  readonly copied: { readonly from: string; readonly length: number } | undefined;
  /** IFUNC: the address of the resolver function. */
  readonly resolver: string | undefined;
  /** The objects searched, in order, by link map index, with the result: "has it", "does not have it", … */
  readonly searched: readonly { readonly object: number; readonly answer: string }[];
}

/** For steps 4, 5 and 6. */
export interface ExplainedFunction {
  readonly object: number;
  /** DT_INIT, DT_INIT_ARRAY[0], e_entry, … */
  readonly from: string;
  readonly address: string;
  /** The symbol at that address, if the object has one. */
  readonly symbol: string | undefined;
}
