// Whether the isolated libraries that a dlopen is about to bring into a process can be loaded, judged from files alone:
// glibc can still refuse at that point (see emitGate). glibc is not asked, as it is in the middle of loading. Problems
// that this check misses show up when the process is linked, and are reported to the user.

import { ElfError } from "../../lib/elf/error.ts";
import { type FileImage, openImage } from "../../lib/elf/file.ts";
import type { Image } from "../../lib/elf/image.ts";
import { findMissingVersion, undefinedIn } from "../../lib/elf/undefined.ts";
import { LinkError } from "../../lib/link-error.ts";
import { type Closure, closureFrom } from "../../lib/tree/closure.ts";
import { upToDate } from "../../lib/tree/dependencies.ts";
import { ERRNO } from "../../lib/x86-64/linux.ts";
import type { HostTree } from "../plan/host-tree.ts";
import { checkMembers } from "../plan/members.ts";
import { needsIn } from "../plan/needs.ts";
import type { Attachment } from "./attachment.ts";
import { isFilled, slotOf } from "./fill.ts";

/** In glibc's terms: the file at fault or what is missing, what is wrong, and errno or 0. */
interface Objection {
  readonly object: string;
  readonly text: string;
  readonly errno: number;
}

/** `bindsNow` is whether functions are bound at once. */
export function findObjection(attachment: Attachment, bindsNow: boolean): Objection | undefined {
  const sonames = placeholdersOf(attachment);
  for (const source of attachment.context.sources) {
    const { isolated, ownership } = source;
    const wanted = sonames.filter((soname) => isolated.includes(soname) && !ownership.isShared(soname));
    const objection = wanted.length === 0 ? undefined : objectionTo(attachment, source, wanted, bindsNow);
    if (objection) return objection;
  }
  return undefined;
}

function placeholdersOf(attachment: Attachment): string[] {
  const { nothing } = attachment.functions;
  return attachment
    .objects()
    .filter((object) => attachment.isOwn(object) && slotOf(object.image) !== undefined && !isFilled(object, nothing))
    .flatMap(({ image }) => image.soname ?? []);
}

function objectionTo(
  attachment: Attachment,
  source: HostTree,
  sonames: readonly string[],
  bindsNow: boolean,
): Objection | undefined {
  try {
    const closure = closureFrom(upToDate(source.search, () => needsIn(source, sonames)));
    checkMembers(closure, source.search.store);
    const refused = closure.members.find(({ library }) => library.isForStart);
    if (refused) return { object: refused.name, text: "shared object cannot be dlopen()ed", errno: 0 };
    return objectionToSymbols(attachment, source, closure, bindsNow);
  } catch (error) {
    return asObjection(error, sonames[0] ?? "");
  }
}

/** Throws what it cannot put into words. */
function asObjection(error: unknown, soname: string): Objection {
  if (error instanceof ElfError) return { object: error.path, text: faultOf(error), errno: 0 };
  if (error instanceof LinkError) {
    const { object, tried } = error.details;
    if (object !== undefined && tried !== undefined)
      return { object, text: "cannot open shared object file", errno: ERRNO.ENOENT };
    return { object: soname, text: error.message, errno: 0 };
  }
  const { code, path = soname } = error as NodeJS.ErrnoException;
  if (code === undefined) throw error;
  return { object: path, text: `cannot open shared object file: ${code}`, errno: 0 };
}

/** In glibc's words, if it has any. */
function faultOf({ structure, fault }: ElfError): string {
  if (structure !== "ELF header") return `${structure}: ${fault}`;
  return fault.startsWith("the file ends") ? "file too short" : "invalid ELF header";
}

function objectionToSymbols(
  attachment: Attachment,
  { search }: HostTree,
  closure: Closure,
  bindsNow: boolean,
): Objection | undefined {
  const shared = new Map<string, string>();
  for (const soname of closure.elsewhere.keys()) {
    const path = sharedFile(attachment, soname);
    // Its symbols are unknown.
    if (path === undefined) return undefined;
    shared.set(soname, path);
  }
  const paths = [...closure.inLoadOrder.map(({ library }) => library.path), ...shared.values()];
  const find = () => [...faultsOf(closure, shared, bindsNow)].map((fault) => JSON.stringify(fault));
  const faults = search.store.ofAll(paths, `refused ${bindsNow ? "now" : "lazily"}`, find);
  for (const text of faults) {
    const { symbol, ...objection } = JSON.parse(text) as Fault;
    // A symbol that the capsule lacks may be the program's.
    const isPrograms = (name: string) => attachment.objects().some(({ image }) => image.find(name) !== undefined);
    if (symbol === undefined || !isPrograms(symbol)) return objection;
  }
  return undefined;
}

interface Fault extends Objection {
  /** An undefined one. */
  readonly symbol?: string;
}

/** What glibc would object to in the libraries alone, in its order. */
function* faultsOf(
  { members, inLoadOrder }: Closure,
  shared: ReadonlyMap<string, string>,
  bindsNow: boolean,
): Generator<Fault> {
  const images = new Map<string, FileImage>();
  try {
    // The shared set first, since it defines most symbols; the order does not matter.
    for (const [soname, path] of shared) images.set(soname, openImage(path));
    for (const { library, name, names } of inLoadOrder) {
      const image = openImage(library.path);
      for (const one of [library.path, library.soname, name, ...names]) if (!images.has(one)) images.set(one, image);
    }
    const scope = [...new Set<Image>(images.values())];
    for (const { library } of members) {
      const { path } = library;
      const image = images.get(path);
      const missing = image && findMissingVersion(image, (name) => images.get(name));
      if (missing) {
        const text = `version \`${missing.version}' not found (required by ${path})`;
        yield { object: missing.definer.path, text, errno: 0 };
      }
      for (const { name, version } of image ? undefinedIn(image, scope, bindsNow) : []) {
        const text = `undefined symbol: ${name}${version === undefined ? "" : `, version ${version}`}`;
        yield { object: path, text, errno: 0, symbol: name };
      }
    }
  } finally {
    for (const image of new Set(images.values())) image[Symbol.dispose]();
  }
}

/** The file of a library of the shared set, or of another capsule. */
function sharedFile({ context, shared, runtime }: Attachment, soname: string): string | undefined {
  const loaded = shared.get(soname);
  if (loaded) return context.fileAt(loaded.path);
  const owner = context.sources.find(({ isolated }) => isolated.includes(soname));
  return (owner?.search ?? runtime).find(soname, undefined)?.path;
}
