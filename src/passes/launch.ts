// What one run knows, passed from pass to pass. There is no other state.

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
import type { Hook } from "../plan/capsule-source.ts";
import type { Ownership } from "../plan/ownership.ts";
import type { Functions } from "./functions.ts";

/** The process that is linked, and where things of it are kept. */
export interface Launch {
  readonly process: Process;
  readonly directory: Directory;
  readonly trace: Trace;
  /** Where the program's own libraries are searched. */
  readonly runtime: Search;
  readonly functions: Functions;
  readonly program: {
    /** Its own file. */
    readonly path: string;
  };
  /** The file of a member of the shared set that is not loaded yet: a path, or the soname for glibc to search. */
  sharedFile(soname: string): string;
  /** The base namespace's members of the shared set, by soname. */
  readonly shared: Map<string, LoadedImage>;
  /** Objects of the shared set that the program has copied: where they have been → where they are. */
  readonly moved: Map<number, Address>;
  readonly capsules: readonly Capsule[];
  /** Has the program's side load what stands for an object of a capsule, by that name; see Shim. */
  readonly shim: Shim;
  /** Undefined where glibc does not look as expected, and where shims do not stay. */
  readonly scopes?: Scopes | undefined;
}

/** Where glibc looks for symbols, in the process that is linked. Objects are given as their link_maps. */
export interface Scopes {
  readonly offsets: ScopeOffsets;
  /** The first of the base namespace, whose search list is the global scope. */
  readonly main: Address;
  /** Shims whose libraries are in their namespace's global scope. */
  readonly lent: Set<Address>;
  /** The base namespace's members of the shared set, and what stands in front of them, by soname. */
  readonly family: Map<string, Address>;
  /** Shims, by soname, that are never unloaded. */
  readonly staying: Map<string, Address>;
  /** Memory for what their handles find, by soname. */
  readonly rooms: Map<string, Address>;
}

/** For files that the process maps. */
export interface Directory {
  readonly path: string;
  /** Writes a file and returns its path. Throws what writing throws (a full disk). */
  write(name: string, bytes: Uint8Array): string;
  /** Makes a directory of links, where the last file was written: by name, and what each leads to. Throws the same. */
  link(name: string, links: ReadonlyMap<string, string>): void;
}

/**
 * Loads a shim into the base namespace. `needed` are names of other shims, `hooks` what it shows in place of functions
 * of the library.
 */
export type Shim = (
  launch: Launch,
  name: string,
  object: LoadedObject,
  needed: readonly string[],
  hooks: ReadonlyMap<string, Address>,
) => Linking<LoadedObject>;

/** Emits code that asks by a connection. */
export type EmitAsking<Result> = (to: Assembler, value: Values, connection: Connection) => Result;

/** Code that is the same for each process but for the values. */
export interface ProcessCode<Result> {
  readonly key: string;
  readonly emit: EmitAsking<Result>;
  /** The values that are no functions of glibc's. */
  readonly own: readonly string[];
}

/** What has to be known besides to put code into the process. */
export interface Linker extends Launch {
  /** Assembles code for the process. `key` says which; the same code for the same key but for the values. */
  assemble<Result>(key: string, emit: EmitAsking<Result>, values: Values): Assembled<Result>;
  /** Is this capsule's own process? */
  readonly isHosted: boolean;
  /** Before the number of a capsule in what its agent calls itself. */
  readonly token: number;
  /** The program's l_name, once it is loaded. */
  readonly programName: Address;
  /** glibc's own function, or object, of that name, if it has one. */
  findSymbol(name: string): Address | undefined;
  /** A C string that stays. */
  intern(text: string): Address;
  /** Words that stay, one behind the other. */
  internWords(words: readonly number[]): Address;
}

/** A host tree's libraries in their namespace. */
export interface Capsule {
  readonly search: Search;
  readonly ownership: Ownership;
  readonly isolated: ReadonlySet<string>;
  readonly promised: ReadonlySet<string>;
  readonly hooks: readonly Hook[];
  /** What its agent calls itself; 0 is the program's. */
  readonly token: number;
  readonly namespace: number;
  /** Functions that are its own, by name, and where they are. */
  readonly overrides: ReadonlyMap<string, Address>;
  /** dl_iterate_phdr as this namespace sees it. */
  readonly iterateHere: Address;
  /** dlopen as this namespace sees it. */
  readonly openHere: Address;
  /** By soname. */
  readonly mirrors: Map<string, LoadedObject>;
  /** By path. */
  readonly opened: Map<string, LoadedObject>;
  /** By which names files were opened, in this process or in another that its server knows. */
  readonly names: Names;
  /** The isolated libraries that the program can see, by soname. */
  readonly shims: Map<string, LoadedObject>;
}
