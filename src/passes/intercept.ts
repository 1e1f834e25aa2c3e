// What the program's side of a process that is linked from outside calls, and we must
// hear of or know better: dlopen, and what tells of objects and signals. Its global
// scope was made before we came, so there is no place in front of libc; libc's own
// symbol table says from now on that they are in the agent's pages, and who has
// bound to libc's is redirected.

import { SHN_ABS, SHN_UNDEF } from "../../lib/elf/constants.ts";
import type { LoadedImage } from "../../lib/elf/loaded.ts";
import { Sym } from "../../lib/elf/sym.ts";
import { type Address, add, toAddress } from "../../lib/memory/numbers.ts";
import type { Patch } from "../../lib/process/patch.ts";
import type { Linking } from "../../lib/process/process.ts";
import { addressOfLabel } from "../../lib/x86-64/assembler.ts";
import { emitAgent } from "../agent/code/ask.ts";
import { emitObjectFunctions } from "../agent/code/objects.ts";
import { emitPathFunctions } from "../agent/code/paths.ts";
import { emitSignalFunctions, emitSignalHandler } from "../agent/code/signals.ts";
import { CODE_SIZE } from "../attached/agent-object.ts";
import type { Attachment } from "../attached/attachment.ts";
import type { EmitAsking, ProcessCode } from "../launch.ts";

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
  for (const image of attachment.shared.values())
    for (const [name, address] of names) showElsewhere(image, name, address, patch, moved);
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
      ...{ record: must("nothing"), first: must("nothing"), directory },
    });
    emitSignalHandler(to.align(16), must("nothing"));
    return emitSignalFunctions(to, find);
  };
  return { key: "the program's side", emit, own: ["token", "program", "iterators", ...OWN_FUNCTIONS] };
}

/** What it calls of Functions. */
const OWN_FUNCTIONS = ["dlopen", "dlmopen", "dladdr", "dladdr1", "dlinfo", "dl_iterate_phdr", "nothing"] as const;

function showElsewhere(
  image: LoadedImage,
  name: string,
  address: Address,
  patch: Patch,
  moved: Map<number, Address>,
): void {
  for (const index of image.findAll(name)) {
    const { st_shndx } = image.symbols.at(index);
    if (st_shndx === SHN_UNDEF) continue;
    const at = image.addressOf(add(image.symbolTableAt, index * Sym.size));
    moved.set(image.symbolAddress(index), address);
    patch.setPointer(add(at, Sym.offsetOf.st_value), address);
    patch.set(add(at, Sym.offsetOf.st_shndx), new Uint8Array(Uint16Array.of(SHN_ABS).buffer));
  }
}
