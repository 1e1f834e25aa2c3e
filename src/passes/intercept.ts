// What the program's side of a process that is linked from outside calls, and we must
// hear of or know better: dlopen, and what tells of objects and signals. Its global
// scope was made before we came, so there is no place in front of libc; libc's own
// symbol table says from now on that they are in the agent's pages, and who has
// bound to libc's is redirected. It says so as the gABI has it, relative to where libc
// is, modulo 2^64: overlays read the table by themselves, and know nothing of SHN_ABS.

import { join } from "node:path";
import { PF_R, PF_W, PF_X, SHN_UNDEF } from "../../lib/elf/constants.ts";
import type { LoadedImage } from "../../lib/elf/loaded.ts";
import { Sym } from "../../lib/elf/sym.ts";
import type { Mapping } from "../../lib/memory/maps.ts";
import { type Address, add, toAddress } from "../../lib/memory/numbers.ts";
import { Patch } from "../../lib/process/patch.ts";
import type { Linking } from "../../lib/process/process.ts";
import { LIBC } from "../../lib/tree/glibc-names.ts";
import { addressOfLabel } from "../../lib/x86-64/assembler.ts";
import { emitAgent } from "../agent/code/ask.ts";
import { emitObjectFunctions } from "../agent/code/objects.ts";
import { emitPathFunctions } from "../agent/code/paths.ts";
import { emitSignalFunctions, emitSignalHandler } from "../agent/code/signals.ts";
import type { Attachment } from "../attached/attachment.ts";
import { SHARED } from "../profiles/shared-set.ts";
import { CODE_SIZE } from "../server/agent-object.ts";
import { LIBRARIES } from "../server/serving-directory.ts";
import type { EmitAsking, Launch, ProcessCode } from "./launch.ts";

export interface Interception {
  /** The functions that a capsule's libc mirror shows, too, by name. */
  readonly both: ReadonlyMap<string, Address>;
  /** The handler of fatal signals. */
  readonly onSignal: Address;
}

/** Collects into `patch` what libc's tables say of them, and into `moved` where they have been. */
export function* intercept(attachment: Attachment, patch: Patch, moved: Map<number, Address>): Linking<Interception> {
  const { functions, token, pages, site } = attachment;
  attachment.iterators = attachment.internWords(new Array<number>(site.sources.length + 1).fill(0));
  const own = new Map<string, number>([
    ["token", token],
    ["program", attachment.programName],
    ["identity", attachment.identityName],
    ["iterators", attachment.iterators],
    ...OWN_FUNCTIONS.map((name) => [name, functions[name]] as const),
  ]);
  const { key, emit } = codeOfProgramsSide(site.directory);
  const { code, result: signals } = attachment.assemble(
    key,
    emit,
    (name) => own.get(name) ?? attachment.findSymbol(name),
  );
  if (code.bytes.length > CODE_SIZE) throw new Error(`The agent's code takes ${code.bytes.length} bytes`);
  patch.install(code.bytes, pages);

  const addressOf = (label: string) => addressOfLabel(code, label, pages);
  const both = new Map(["dl_iterate_phdr", ...signals].map((name) => [name, addressOf(name)]));
  const names = new Map([...both, ...["dlopen", "dlmopen"].map((name) => [name, addressOf(name)] as const)]);
  for (const image of attachment.shared.values()) showElsewhere(image, names, patch, moved);
  return { both, onSignal: addressOf("on signal") };
}

/** The code for the program's side, whichever process it is for. */
export function codeOfProgramsSide(directory: string): ProcessCode<string[]> {
  const emit: EmitAsking<string[]> = (to, value, connection) => {
    const must = (name: string) => toAddress(value(name) ?? 0);
    const find = (name: string) => value(name) as Address | undefined;
    emitAgent(to, { connection, token: must("token"), dlopen: must("dlopen"), dlmopen: must("dlmopen") });
    // For its comparisons: the program's own file is where it says.
    emitPathFunctions(to, { program: "", hasTree: false, isHosted: false, find: () => undefined });
    emitObjectFunctions(to.align(16), {
      ...{ dladdr: must("dladdr"), dladdr1: must("dladdr1"), dlinfo: must("dlinfo") },
      ...{ dl_iterate_phdr: must("dl_iterate_phdr"), iterators: must("iterators"), programName: must("program") },
      // There is no other program in front of it.
      ownName: must("identity"),
      ...{ record: must("nothing"), first: must("nothing"), directory },
      // glibc's own, where they are another's than the machine's.
      links: SHARED.map((soname) => join(LIBRARIES, soname)),
    });
    emitSignalHandler(to.align(16), must("nothing"));
    return emitSignalFunctions(to, find);
  };
  return { key: "the program's side", emit, own: ["token", "program", "identity", "iterators", ...OWN_FUNCTIONS] };
}

/** What it calls of Functions. */
const OWN_FUNCTIONS = ["dlopen", "dlmopen", "dladdr", "dladdr1", "dlinfo", "dl_iterate_phdr", "nothing"] as const;

/** Collects into `patch` that functions of an image are elsewhere, and into `moved` where they have been. */
function showElsewhere(
  image: LoadedImage,
  names: ReadonlyMap<string, Address>,
  patch: Patch,
  moved: Map<number, Address>,
): void {
  for (const [name, address] of names)
    for (const index of image.findAll(name)) {
      if (image.symbols.at(index).st_shndx === SHN_UNDEF) continue;
      const at = image.addressOf(add(image.symbolTableAt, index * Sym.size));
      moved.set(image.symbolAddress(index), address);
      patch.setPointer(add(at, Sym.offsetOf.st_value), image.vaddrAt(address));
    }
}

/**
 * The same in a process of which the global scope has them in front of libc: for who asks libc itself, by its handle, or
 * reads its tables.
 */
export function* interceptHandles({ process, shared }: Launch, names: ReadonlyMap<string, Address>): Linking<void> {
  const patch = new Patch();
  // Before glibc 2.34 dlopen is in the second.
  const family = [LIBC, "libdl.so.2"].flatMap((soname) => shared.get(soname) ?? []);
  for (const image of family) showElsewhere(image, names, patch, new Map());
  // As they are known to be mapped: the kernel's list of what is takes a millisecond here.
  const mappings = family.flatMap(tableMapping).sort((a, b) => a.start - b.start);
  yield* patch.apply(process, mappings);
}

/** What is mapped where an image's symbols are. */
export function tableMapping({ path, loads, loadBias, symbolTableAt }: LoadedImage): Mapping[] {
  const load = loads.find(({ p_vaddr, p_filesz }) => symbolTableAt >= p_vaddr && symbolTableAt < p_vaddr + p_filesz);
  if (!load) return [];
  const [start, end] = [load.p_vaddr, load.p_vaddr + load.p_filesz].map((vaddr) => add(loadBias, vaddr));
  const has = (flag: number) => (load.p_flags & flag) !== 0;
  const kind = { readable: has(PF_R), writable: has(PF_W), executable: has(PF_X), shared: false };
  return [{ start: start ?? loadBias, end: end ?? loadBias, ...kind, offset: load.p_offset, inode: 0, path }];
}
