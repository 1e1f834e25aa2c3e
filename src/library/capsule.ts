// A capsule for scripts and tests: a host tree's libraries in a private namespace of this process, called through
// bun:ffi.

import { type FFIFunction, type Library as FFILibrary, linkSymbols, type Pointer } from "bun:ffi";
import type { Library } from "../../lib/elf/library.ts";
import { LinkError } from "../../lib/link-error.ts";
import { dlclose, findIn, findOpen, LM_ID_BASE, linkMapOf } from "../../lib/loader/calls.ts";
import { LoadedObject, linkMap } from "../../lib/loader/link-map.ts";
import { pointer } from "../../lib/memory/live.ts";
import { Libc } from "../../lib/process/libc.ts";
import { needProc } from "../../lib/process/pid-namespace.ts";
import type { Linking } from "../../lib/process/process.ts";
import type { Closure } from "../../lib/tree/closure.ts";
import type { Dependencies } from "../../lib/tree/dependencies.ts";
import { isPlugIn } from "../../lib/tree/glibc-names.ts";
import { LibraryStore } from "../../lib/tree/library-store.ts";
import { libraryPathOf, mustFind, Search } from "../../lib/tree/search.ts";
import { Tree } from "../../lib/tree/tree.ts";
import { asLinkError } from "../diagnostics/error-data.ts";
import { type Category, Trace } from "../diagnostics/trace.ts";
import { storeFile } from "../directories/own-cache.ts";
import { ServerHandle } from "../hosted/serve.ts";
import { withAdvice } from "../hosted/static-tls.ts";
import { expose } from "../passes/expose.ts";
import { closureIn } from "../passes/names.ts";
import { checkClosure, openClosure } from "../passes/open.ts";
import { fileAt, reaching } from "../plan/file-at.ts";
import { checkNeeds, runsOn } from "../plan/glibc/choice.ts";
import { newestUnwinder } from "../plan/glibc/unwinder.ts";
import { needsIn, needsOfOutsider } from "../plan/needs.ts";
import { Ownership } from "../plan/ownership.ts";
import { environmentOf, keepCaches, openedAhead } from "../plan/plan.ts";
import { hostSearch, openTree, refuseMissing } from "../plan/trees.ts";
import type { ProfileName } from "../profiles/profiles.ts";
import { isShared, UNWINDER } from "../profiles/shared-set.ts";
import { KEYS } from "../settings/keys.ts";
import { Settings } from "../settings/settings.ts";
import { forCaller } from "./caller.ts";
import { vacateNamespace } from "./close.ts";
import { type Embedding, embed, glibcOf } from "./embedding.ts";
import { checkOptions, type Kinds } from "./options.ts";
import { outerHost } from "./outer-host.ts";
import { ownFile } from "./own-file.ts";
import { type Redirection, redirectTo } from "./redirection.ts";

/** Options for {@link openCapsule}. */
export interface CapsuleOptions {
  /**
   * The host tree: a directory laid out like `/`. Default: `CAPSULE_PREFIX`, else the one of `capsule exec`, if that
   * runs the script, else the first of `/run/host` and `/host` that has libraries, else `/`. Settings files are not
   * read.
   */
  readonly host?: string;
  /** Additional directories with libraries and drivers, as paths in the host tree. They are searched first. */
  readonly hostLibraries?: readonly string[];
  /** Additional directories that correspond to `/usr/share`, as paths in the host tree. */
  readonly hostShares?: readonly string[];
  /**
   * Sonames or paths of libraries to open at once: they see each other's symbols as if one program were linked to all
   * of them. Default: none. {@link Capsule.dlopen} opens more.
   */
  readonly libraries?: readonly string[];
  /** Profiles whose environment variables the libraries see. Default: all. */
  readonly profiles?: readonly ProfileName[];
  /**
   * Additional variables that only the capsule's libraries see. Variables of the process override those of profiles,
   * but not these.
   */
  readonly environment?: Readonly<Record<string, string>>;
  /** Trace categories to print to standard error, as for `--trace`. Default: none. */
  readonly trace?: readonly Category[];
}

const OPTION_KINDS = {
  host: "text",
  hostLibraries: "texts",
  hostShares: "texts",
  libraries: "texts",
  profiles: "texts",
  environment: "variables",
  trace: "texts",
} as const satisfies Record<keyof CapsuleOptions, Kinds[string]>;

/** Where a capsule's library comes from. */
export interface Answer {
  /** The soname or path by which it was requested. */
  readonly name: string;
  /** The file found for it, without symbolic links. */
  readonly path: string;
  /** The step of the search that found it: `ld.so.cache`, `runpath of …`, `default directory`, … */
  readonly why: string;
  /** The file of the library that needs it. Undefined if the script opened it. */
  readonly neededBy: string | undefined;
  /**
   * `opened`: by the script. `dependency`: needed by one of those. `shared`: a library of which the process has one
   * copy (glibc's libraries, libgcc_s.so.1), mirrored into the capsule.
   */
  readonly role: "opened" | "dependency" | "shared";
}

/** An entry of the loader's list (`struct link_map`). */
export interface MappedLibrary {
  /** DT_SONAME. Undefined if it has none. */
  readonly soname: string | undefined;
  /** The path of its file. */
  readonly path: string;
  /** What to add to a virtual address of the file, in bytes (`l_addr`). */
  readonly loadBias: number;
  /** The address of its `struct link_map`. */
  readonly linkMap: Pointer;
  /**
   * `library`: from the host tree. `mirror`: shows the symbols of a library that the process shares. `loader`: ld.so
   * itself. `helper`: opens others together.
   */
  readonly kind: "library" | "mirror" | "loader" | "helper";
  /** DT_NEEDED, in order. */
  readonly needed: readonly string[];
}

/**
 * Libraries of a host tree in this process, opened by {@link openCapsule}. `using` closes it. After that, methods that
 * need the libraries throw an Error.
 */
export class Capsule {
  readonly #libc: Libc;
  readonly #embedding: Embedding;
  readonly #server: ServerHandle;
  /** By path, in the order in which they were opened. */
  readonly #opened = new Map<string, LoadedObject>();
  readonly #closures: Closure[] = [];
  readonly #redirections = new Set<Redirection>();
  /**
   * At the end of the process libraries stay loaded, as natively: their threads may still run. Bun calls no
   * destructors then.
   */
  readonly #atExit = () => {
    this.#isClosed = true;
    this.#leave(true);
  };
  #isClosed = false;

  /** @internal */
  constructor(options: CapsuleOptions) {
    needProc();
    const trace = new Trace(options.trace ?? []);
    const libc = new Libc();
    const { hostLibraries, hostShares, profiles: profile } = options;
    const host = options.host ?? (process.env[KEYS.host.variable ?? ""] ? undefined : outerHost());
    const { trees } = new Settings({ host, hostLibraries, hostShares, profile, settings: false }, undefined);
    const store = new LibraryStore(storeFile());
    const libraryPath = libraryPathOf(process.env.LD_LIBRARY_PATH);
    const runtime = new Search(new Tree("/"), libraryPath, store);
    const search = hostSearch(openTree(trees.host), trees.further.value, store);
    refuseMissing(trees.further, [search]);
    const unwinder = newestUnwinder([runtime, search], glibcOf(libc))?.path;
    const names = options.libraries ?? [];
    const visible = [...trees.libraries.map(({ soname }) => soname), ...names];
    const plan = {
      search,
      ownership: new Ownership(search, runtime, trees.newest),
      isolated: visible,
      promised: [],
      environment: [...environmentOf(trees.variables, search), ...Object.entries(options.environment ?? {})],
      hooks: [],
      ahead: openedAhead(names),
    };
    keepCaches([plan]);
    this.#libc = libc;
    const shared = new Map(unwinder === undefined ? [] : [[UNWINDER, unwinder]]);
    this.#server = new ServerHandle(libc, ownFile("hosted/server"));
    try {
      this.#embedding = embed(libc, plan, runtime, shared, this.#server, trace);
    } catch (error) {
      this.#server.end();
      throw explained(error);
    }
    // A script that forgets to close the capsule can still exit, and leaves nothing behind.
    this.#server.unref();
    process.on("exit", this.#atExit);
    try {
      this.#open(names);
    } catch (error) {
      this.close();
      throw error;
    }
    store.save();
  }

  /** The host tree's directory. */
  get host(): string {
    return this.#capsule.search.tree.name;
  }

  /** The number of its namespace, as dlmopen(3) and debuggers count: `LM_ID_BASE` is 0. */
  get namespace(): number {
    return this.#capsule.namespace;
  }

  /** Whether `close` was called, or the process is exiting. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * Like bun:ffi's `dlopen`, for a library of the capsule. A soname is searched in the host tree as that tree's own
   * ld.so would. A path is one on this machine, possibly outside the tree. Dependencies come from the host tree.
   *
   * @param name a soname, or a path, which contains a slash
   * @param symbols by name: arguments and results, as in `bun:ffi`
   * @typeParam Fns the type of `symbols`
   * @returns `symbols` to call, and `close`, which frees bun's wrappers: the library stays until the capsule is closed
   * @throws {@link LinkError} if a library or symbol is missing, or needs a newer glibc than this process has.
   * @throws {@link ElfError} if a file is damaged.
   *
   * @example
   * ```ts
   * import { openCapsule } from "capsule";
   *
   * using capsule = openCapsule({ host: "/run/host" });
   * const { symbols } = capsule.dlopen("libEGL.so.1", {
   *   eglQueryString: { args: ["ptr", "i32"], returns: "cstring" },
   * });
   * console.log(`${symbols.eglQueryString(null, 0x3054)}`); // EGL_VERSION
   * ```
   */
  dlopen<Fns extends Record<string, FFIFunction>>(name: string, symbols: Fns): FFILibrary<Fns> {
    const [object] = forCaller(this.dlopen, () => this.#open([name]));
    const described = Object.entries(symbols).map(([symbol, description]) => {
      const ptr = description.ptr ?? this.#mustFind(object ? [object] : [], symbol, undefined, name);
      return [symbol, { ...description, ptr }] as const;
    });
    // Bun requires at least one symbol, but the library is to be opened without any too.
    if (described.length === 0) return { symbols: {}, close() {} } as unknown as FFILibrary<Fns>;
    return linkSymbols(Object.fromEntries(described)) as FFILibrary<Fns>;
  }

  /**
   * The address of a symbol, searched in the opened libraries in order, with their dependencies. For an IFUNC, the
   * address that it resolves to.
   *
   * @param name the symbol's name
   * @param version such as `GLIBC_2.2.5`. Default: the version that an unversioned reference gets
   * @returns a pointer as in `bun:ffi`: the address as a number
   * @throws {@link LinkError} if none has it.
   */
  symbol(name: string, version?: string): Pointer {
    return this.#mustFind([...this.#opened.values()], name, version);
  }

  /**
   * Like {@link symbol}, but undefined if none has it.
   *
   * @param name the symbol's name
   * @param version such as `GLIBC_2.2.5`. Default: the version that an unversioned reference gets
   * @throws {@link LinkError} if glibc fails for another reason.
   */
  findSymbol(name: string, version?: string): Pointer | undefined {
    this.#mustBeOpen();
    return this.#find(this.#opened.values(), name, version);
  }

  /** The loader's current list in load order, including what libraries have opened themselves. */
  *linkMap(): Generator<MappedLibrary> {
    this.#mustBeOpen();
    const [first] = this.#capsule.mirrors.values();
    if (first) for (const object of linkMap(this.#libc, first.linkMap)) yield this.#described(object);
  }

  /** Like {@link linkMap}. */
  [Symbol.iterator](): Iterator<MappedLibrary> {
    return this.linkMap();
  }

  /** The host tree's libraries that are currently loaded. */
  get objects(): MappedLibrary[] {
    return [...this.linkMap()].filter(({ kind }) => kind === "library");
  }

  /**
   * Which file was found for each soname, and why, for the libraries that the script opened and all their dependencies.
   */
  get answers(): Answer[] {
    const answers = new Map<string, Answer>();
    const add = (answer: Answer) => {
      if (!answers.has(`${answer.name}\0${answer.path}`)) answers.set(`${answer.name}\0${answer.path}`, answer);
    };
    for (const { inLoadOrder, elsewhere } of this.#closures) {
      for (const { name, library, why, requester } of inLoadOrder) {
        const neededBy = requester?.library.path;
        add({ name, path: library.path, why, neededBy, role: neededBy === undefined ? "opened" : "dependency" });
      }
      for (const [name, [needer]] of elsewhere) {
        const path = this.#embedding.shared.get(name)?.path ?? "";
        add({ name, path, why: "the process has one copy of it", neededBy: needer?.path, role: "shared" });
      }
    }
    return [...answers.values()];
  }

  /**
   * Redirects libraries that this process loaded earlier, outside any capsule: where they were bound to the process's
   * own copy of a library that was opened by soname, they now use the capsule's copy. Addresses that they have stored
   * elsewhere (from dlsym, in data) stay.
   *
   * @param objects selects libraries by path. Default: all that refer to such a copy
   * @returns what was done, to inspect and undo
   * @throws {@link LinkError} if the kernel refuses. Nothing is changed then.
   * @throws {@link ElfError} if a library's tables in memory are damaged. Nothing is changed then.
   *
   * @example
   * ```ts
   * import { openCapsule } from "capsule";
   *
   * using capsule = openCapsule({ host: "/run/host", libraries: ["libGL.so.1"] });
   * using redirection = capsule.redirect((path) => path.endsWith("/sdl.node"));
   * for (const { symbol, from, to } of redirection.slots) console.log(`${symbol}: ${from} → ${to}`);
   * ```
   */
  redirect(objects: (path: string) => boolean = () => true): Redirection {
    this.#mustBeOpen();
    const whenUndone = () => this.#redirections.delete(redirection);
    const redirection: Redirection = redirectTo(this.#embedding, [...this.#opened.values()], objects, whenUndone);
    this.#redirections.add(redirection);
    return redirection;
  }

  /**
   * Makes libraries that this process loads from now on (addons included) find the capsule's copy when they need that
   * soname, as a program in `capsule exec` does. The same holds for dependencies of the library that belong to a
   * profile. For libraries that are loaded already, use {@link redirect}.
   *
   * @param soname the library's soname
   * @throws {@link LinkError} if the host tree does not have it, or this process already has a library of that soname.
   * @throws {@link ElfError} if a library is damaged.
   */
  expose(soname: string): void {
    this.#mustBeOpen();
    if (this.#capsule.shims.has(soname)) return;
    const there = this.#libc.run(findOpen(LM_ID_BASE, soname));
    if (there !== undefined) {
      const { path } = new LoadedObject(this.#libc, this.#libc.run(linkMapOf(this.#libc, there)));
      this.#libc.run(dlclose(this.#libc, there));
      throw new LinkError(
        `Cannot expose "${soname}": this process has "${path}" by that name, which whoever needs it will get`,
        { object: path },
      );
    }
    this.#open([soname]);
    this.#libc.run(expose(this.#embedding, this.#capsule, soname));
  }

  /**
   * Undoes redirections and unloads the libraries. Results of `dlopen` and `symbol` must not be used any more, and no
   * thread of the libraries may be running. Closing twice does nothing.
   *
   * @returns the paths of libraries that cannot be unloaded (DF_1_NODELETE, or opened by a library that has not closed
   * them): they stay in their namespace, of which a process has 15. If a library outside the capsule has bound to an
   * exposed one, all of them stay, and it keeps working.
   * @throws {@link LinkError} if glibc or the kernel refuses.
   */
  close(): string[] {
    if (this.#isClosed) return [];
    this.#isClosed = true;
    process.off("exit", this.#atExit);
    for (const redirection of [...this.#redirections].reverse()) redirection.undo();
    const { paths, isUsed } = this.#libc.run(vacateNamespace(this.#embedding, this.#capsule));
    // An exposed library that is still in use may open another one, so the server must stay.
    if (isUsed) process.on("exit", () => this.#leave(true));
    else this.#leave(paths.length > 0);
    return [...paths];
  }

  #leave(canAsk: boolean): void {
    this.#server.end(canAsk);
    this.#embedding.directory.remove();
  }

  /**
   * Like {@link close}.
   *
   * @throws {@link LinkError} like {@link close}.
   */
  [Symbol.dispose](): void {
    this.close();
  }

  get #capsule() {
    return this.#embedding.capsules[0];
  }

  #open(names: readonly string[]): LoadedObject[] {
    this.#mustBeOpen();
    if (names.length === 0) return [];
    const capsule = this.#capsule;
    const closures = this.#libc.run(this.#closuresOf(names));
    for (const closure of closures) {
      checkClosure(capsule, closure);
      this.#mustRun(closure);
      try {
        this.#libc.run(openClosure(this.#embedding, capsule, closure));
      } catch (error) {
        throw withAdvice(error);
      }
      this.#closures.push(closure);
    }
    this.#server.update(this.#embedding, true);
    return closures.flatMap(({ roots }) =>
      roots.map((path) => {
        const object = capsule.opened.get(path);
        if (!object) throw new LinkError(`Cannot find "${path}" among what was opened`, { object: path });
        this.#opened.set(path, object);
        return object;
      }),
    );
  }

  /** Throws if this process's glibc is too old for the libraries. */
  #mustRun({ members }: Closure): void {
    const libraries = members.map(({ library }) => library);
    const { glibc } = this.#embedding.plan;
    const newer = libraries.find((library) => !runsOn(library, glibc.version));
    if (newer)
      throw new LinkError(
        `Cannot open "${newer.path}": it needs glibc ${newer.glibc}, and this process runs on ${glibc.version}; capsule exec --glibc ${this.host} bun SCRIPT runs a script on the tree's`,
        { object: newer.path },
      );
    checkNeeds(libraries, glibc);
  }

  /** One closure for all libraries in the tree, and one for each file outside it. */
  *#closuresOf(names: readonly string[]): Linking<(Closure & { roots: string[] })[]> {
    const capsule = this.#capsule;
    const { search, ownership } = capsule;
    const refuse = (name: string, is = "") => {
      throw new LinkError(
        `Cannot open "${name}" in a capsule: ${is}the whole process has one copy of it, which bun:ffi's own dlopen gives`,
        { object: name },
      );
    };
    for (const name of names) if (ownership.isShared(name)) refuse(name);
    const files = names.filter((name) => name.includes("/")).map((name) => fileAt(name));
    const outside = files.filter((path) => !search.tree.holds(path));
    const inside = [...names.filter((name) => !name.includes("/")), ...files.filter((path) => search.tree.holds(path))];
    const found = inside.map((name) => mustFind(search, name, undefined).path);
    // Whichever name was given.
    for (const path of [...found, ...outside]) {
      const library = libraryAt(search, path);
      if (isShared(library.soname)) refuse(path, `it is "${library.soname}", and `);
      if (isPlugIn(library)) refuse(path, "it is a plug-in of glibc's, and ");
    }
    const find = (find: (open: ReadonlyMap<string, string>) => Dependencies) =>
      closureIn(this.#embedding, capsule, find);
    const closures: (Closure & { roots: string[] })[] = [];
    if (inside.length > 0)
      closures.push({ ...(yield* find((open) => needsIn(capsule, inside, undefined, open))), roots: found });
    for (const path of outside) {
      const library = libraryAt(search, path);
      closures.push({ ...(yield* find((open) => needsOfOutsider(capsule, library, undefined, open))), roots: [path] });
    }
    return closures;
  }

  #find(objects: Iterable<LoadedObject>, name: string, version: string | undefined): Pointer | undefined {
    for (const { linkMap } of objects) {
      const found = this.#libc.run(findIn(linkMap, name, version));
      if (found !== undefined) return pointer(found);
    }
    return undefined;
  }

  #mustFind(objects: readonly LoadedObject[], name: string, version?: string, of?: string): Pointer {
    this.#mustBeOpen();
    const found = this.#find(objects, name, version);
    if (found !== undefined) return found;
    const subject = version === undefined ? name : `${name}@${version}`;
    const why = of === undefined ? "none of the libraries that were opened has it" : `"${of}" does not have it`;
    throw new LinkError(`Cannot find "${subject}" in the capsule of "${this.host}": ${why}`, {
      symbol: name,
      ...(version === undefined ? {} : { version }),
      tried: objects.map(({ path }) => path),
    });
  }

  #described(object: LoadedObject): MappedLibrary {
    const { image, path, loadBias, linkMap } = object;
    const isOurs = path.startsWith(`${this.#embedding.directory.path}/`);
    const isMirror = isOurs && isShared(image.soname ?? "");
    const kind = isMirror ? "mirror" : isOurs ? "helper" : isShared(image.soname ?? "") ? "loader" : "library";
    return { soname: image.soname, path, loadBias, linkMap: pointer(linkMap), kind, needed: [...image.needed] };
  }

  #mustBeOpen(): void {
    if (this.#isClosed) throw new Error(`Cannot use the capsule of "${this.host}": it is closed`);
  }
}

/**
 * Makes a capsule in this process. This takes about 30 ms, mostly waiting for the thread that serves requests of its
 * libraries. A process has room for 15.
 *
 * @param options what to open, and from where
 * @throws {@link LinkError} if a host tree or library is missing or needs a newer glibc than this process has, and for
 * a sixteenth capsule.
 * @throws {@link ElfError} if a library is damaged.
 * @throws {@link UsageError} if a profile or variable is invalid.
 * @throws TypeError for an option that there is not, or of a wrong type.
 *
 * @example
 * ```ts
 * import { openCapsule } from "capsule";
 *
 * using capsule = openCapsule({ host: "/run/host", libraries: ["libvulkan.so.1"] });
 * for (const { name, path, why } of capsule.answers) console.log(`${name}: ${path} (${why})`);
 * ```
 */
export function openCapsule(options: CapsuleOptions = {}): Capsule {
  return forCaller(openCapsule, () => {
    checkOptions(options, OPTION_KINDS, "openCapsule");
    return new Capsule(options);
  });
}

/** Replaces an error whose text from glibc does not help. */
function explained(error: unknown): unknown {
  const refused = asLinkError(error);
  if (refused) return refused;
  if (!(error instanceof LinkError) || !error.message.includes("no more namespaces")) return error;
  return new LinkError(
    "Cannot make another capsule: all 15 namespaces that glibc has for them are in use, some perhaps by libraries that could not be unloaded when theirs was closed",
    { cause: error },
  );
}

const libraryAt = (search: Search, path: string): Library =>
  reaching(path, "Cannot open", () => search.libraryAt(path));
