// Functions that the program's side of an attached process calls and we must intercept, or answer better: dlopen, and
// functions that report on objects and signals. Its global scope already exists, so nothing can be put before libc
// there; instead libc's own symbol table now points to these functions in the agent's pages, and references to libc's
// are redirected.

import type { Address } from "../../lib/memory/numbers.ts";
import type { Patch } from "../../lib/process/patch.ts";
import type { Linking } from "../../lib/process/process.ts";
import { addressOfLabel } from "../../lib/x86-64/assembler.ts";
import { codeOfProgramsSide, OWN_FUNCTIONS, showElsewhere } from "../passes/intercept.ts";
import { CODE_SIZE } from "../server/agent-object.ts";
import type { Attachment } from "./attachment.ts";

export interface Interception {
  /** The functions that a capsule's libc mirror also shows, by name. */
  readonly both: ReadonlyMap<string, Address>;
  /** The handler of fatal signals. */
  readonly onSignal: Address;
}

/** Collects into `patch` their entries in libc's tables, and into `moved` their old addresses. */
export function* intercept(attachment: Attachment, patch: Patch, moved: Map<number, Address>): Linking<Interception> {
  const { functions, token, pages, context } = attachment;
  attachment.iterators = attachment.internWords(new Array<number>(context.sources.length + 1).fill(0));
  const own = new Map<string, number>([
    ["token", token],
    ["program", attachment.programName],
    ["exeShim", attachment.exeShimName],
    ["iterators", attachment.iterators],
    ...OWN_FUNCTIONS.map((name) => [name, functions[name]] as const),
  ]);
  const { key, emit } = codeOfProgramsSide(context.directory);
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
