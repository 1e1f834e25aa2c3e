// What the main thread tells the server of the run, as JSON.

import type { ScopeOffsets } from "../../lib/loader/handle-scope.ts";
import type { Address } from "../../lib/memory/numbers.ts";
import type { Layout } from "../../lib/tree/layout.ts";
import type { Category } from "../diagnostics/trace.ts";
import type { Functions } from "../passes/functions.ts";
import type { ChosenGlibc } from "../plan/glibc/choice.ts";
import type { HostTreeData } from "../plan/host-tree.ts";
import type { ServerCommand } from "../server/start-server.ts";

/** What the server knows of a capsule. Objects are given as the addresses of their link_maps. */
export interface CapsuleState extends HostTreeData {
  readonly token: number;
  readonly namespace: number;
  readonly overrides: readonly (readonly [name: string, address: Address])[];
  readonly iterateHere: Address;
  readonly openHere: Address;
  readonly mirrors: readonly (readonly [soname: string, linkMap: number])[];
  readonly opened: readonly (readonly [path: string, linkMap: number])[];
  /** See Names. */
  readonly names: readonly (readonly [name: string, path: string])[];
  readonly shims: readonly (readonly [soname: string, linkMap: number])[];
}

export interface ServerState {
  readonly directory: string;
  readonly files: number;
  readonly trace: readonly Category[];
  readonly libraryPath: readonly string[];
  /** The root of the tree with the program's libraries. */
  readonly runtime: string;
  /** Where what is known of libraries is kept. */
  readonly store: string | undefined;
  readonly shared: readonly (readonly [soname: string, file: string])[];
  readonly moved: readonly (readonly [from: number, to: Address])[];
  /** The loaded files of the shared set. */
  readonly sharedFiles: readonly string[];
  readonly functions: Functions;
  /** See Scopes. Undefined where shims do not stay. */
  readonly scopes:
    | {
        readonly offsets: ScopeOffsets;
        readonly main: Address;
        readonly family: readonly (readonly [soname: string, linkMap: Address])[];
        readonly lent: readonly Address[];
      }
    | undefined;
  readonly capsules: readonly CapsuleState[];
  readonly program: { readonly path: string; readonly arguments: readonly string[] };
  /** The glibc that all of it runs on; `root` is the tree that has it, if that is not where ld.so looks. */
  readonly glibc: Pick<ChosenGlibc, "version" | "isNatural"> & {
    readonly root: string | undefined;
    readonly layout: Layout;
  };
  /** How to start a server for what the program starts. Undefined where only this process is served. */
  readonly server: ServerCommand | undefined;
}

/** Sent in place of a state: no more requests will come. */
export const OVER = null;
