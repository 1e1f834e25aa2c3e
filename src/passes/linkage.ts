// What passes know of the process that they link, handed from pass to pass. There is no other state.

import type { LoadedImage } from "../../lib/elf/loaded.ts";
import type { ScopeOffsets } from "../../lib/loader/handle-scope.ts";
import type { LoadedObject } from "../../lib/loader/link-map.ts";
import type { Address } from "../../lib/memory/numbers.ts";
import type { Linking, Process } from "../../lib/process/process.ts";
import type { Names } from "../../lib/tree/open-names.ts";
import type { Search } from "../../lib/tree/search.ts";
import type { Assembler } from "../../lib/x86-64/assembler.ts";
import type { Assembled, Values } from "../../lib/x86-64/template.ts";
import type { Connection } from "../agent/code/ask.ts";
import type { Trace } from "../diagnostics/trace.ts";
import type { HostTree } from "../plan/host-tree.ts";
import type { Functions } from "./functions.ts";

/** The process being linked, and where its data is kept. */
export interface Linkage {
  readonly process: Process;
  readonly directory: Directory;
  readonly trace: Trace;
  /** Where the program's own libraries are searched. */
  readonly runtime: Search;
  readonly functions: Functions;
  /** `path` is that of its own file. */
  readonly program: { readonly path: string };
  /** The file of a member of the shared set that is not loaded yet: a path, or the soname for glibc to search. */
  sharedFile(soname: string): string;
  /** The base namespace's members of the shared set, by soname. */
  readonly shared: Map<string, LoadedImage>;
  /** Objects of the shared set that the program has copied: old address → new address. */
  readonly moved: Map<number, Address>;
  readonly capsules: readonly Capsule[];
  /** Makes the program's side load an object that represents a capsule's library, under that name; see Shim. */
  readonly shim: Shim;
  /** Undefined if glibc does not look as expected, or if shims do not stay. */
  readonly scopes?: Scopes | undefined;
}

/** Where glibc looks for symbols in the process being linked. Objects are identified by their link_maps. */
export interface Scopes {
  readonly offsets: ScopeOffsets;
  /** The first object of the base namespace, whose search list is the global scope. */
  readonly main: Address;
  /** Shims whose libraries are in their namespace's global scope. */
  readonly lent: Set<Address>;
  /** The base namespace's members of the shared set, and objects that override them, by soname. */
  readonly family: Map<string, Address>;
  /** Shims that are never unloaded, by soname. */
  readonly staying: Map<string, Address>;
  /** Memory for their handles' search lists, by soname. */
  readonly rooms: Map<string, Address>;
}

/** Where files that the process maps are written. */
export interface Directory {
  readonly path: string;
  /** Writes a file and returns its path. Throws what writing throws (a full disk). */
  write(name: string, bytes: Uint8Array): string;
  /** Makes a directory of links beside the last file written: name → target. Throws the same. */
  link(name: string, links: ReadonlyMap<string, string>): void;
}

/** Loads a shim into the base namespace. `needed` are names of other shims, `hooks` functions for the library's. */
export type Shim = (
  linkage: Linkage,
  name: string,
  object: LoadedObject,
  needed: readonly string[],
  hooks: ReadonlyMap<string, Address>,
) => Linking<LoadedObject>;

/** Emits code that sends requests over a connection. */
export type EmitAsking<Result> = (to: Assembler, value: Values, connection: Connection) => Result;

/** Code that is the same for each process except for the values. */
export interface ProcessCode<Result> {
  readonly key: string;
  readonly emit: EmitAsking<Result>;
  /** The values that are not functions of glibc. */
  readonly own: readonly string[];
}

/** What else is required to put code into the process. */
export interface Linker extends Linkage {
  /** Assembles code for the process. `key` identifies the code: equal keys give equal code except for the values. */
  assemble<Result>(key: string, emit: EmitAsking<Result>, values: Values): Assembled<Result>;
  /** Whether this is capsule's own process. */
  readonly isHosted: boolean;
  /** Precedes a capsule's number in its agent's token. */
  readonly token: number;
  /** The program's l_name, once it is loaded. */
  readonly programName: Address;
  /** glibc's own function or object of that name, if it has one. */
  findSymbol(name: string): Address | undefined;
  /** Keeps a C string for the life of the process. */
  intern(text: string): Address;
  /** Keeps consecutive words for the life of the process. */
  internWords(words: readonly number[]): Address;
}

/** A host tree's libraries in their namespace. */
export interface Capsule extends HostTree {
  /** Identifies its agent; 0 is the program's. */
  readonly token: number;
  readonly namespace: number;
  /** Functions that this capsule overrides: name → address. */
  readonly overrides: ReadonlyMap<string, Address>;
  /** dl_iterate_phdr as seen from this namespace. */
  readonly iterateHere: Address;
  /** dlopen as seen from this namespace. */
  readonly openHere: Address;
  /** By soname. */
  readonly mirrors: Map<string, LoadedObject>;
  /** By path. */
  readonly opened: Map<string, LoadedObject>;
  /** The names under which files were opened, in this process or in another that its server knows. */
  readonly names: Names;
  /** The isolated libraries that the program can see, by soname. */
  readonly shims: Map<string, LoadedObject>;
}
