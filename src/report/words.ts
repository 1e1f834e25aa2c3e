// Why a library is present or missing, in a few words.

import { basename } from "node:path";
import { ElfError } from "../../lib/elf/error.ts";
import { runsOn } from "../plan/glibc/choice.ts";
import type { Item, Missing, Present, Report } from "./item.ts";

/** The text in brackets after a name. */
export function whyOf({ item, door }: Present): string {
  if (door === "shim") return "shim";
  if (door === "mirror") return `mirror of ${ofWhom(item)}`;
  const step = stepOf(item);
  if (item.role === "isolated") return `isolated, ${step}`;
  if (item.role === "left") return `${step}; the host tree lacks it`;
  if (item.role === "both") return `${step}; serves both sides, as it is newer than the host's`;
  return item.role === "shared" ? `shared set, ${step}` : step;
}

const ofWhom = ({ role, side }: Item): string => {
  if (role === "shared") return "the shared set's";
  return side.host ? `${side.tree}'s` : "the program's";
};

/** The step of the search. It names the path's owner if that is not the library that needs it. */
function stepOf({ why, requester }: Item): string {
  const [, kind, owner = ""] = /^(rpath|runpath) of (.*)$/s.exec(why) ?? [];
  if (kind === undefined) return why;
  return owner === requester?.path ? kind : `${kind} of ${basename(owner)}`;
}

/** What is wrong, and where the library was searched. */
export function faultOf(fault: Missing["fault"]): { text: string; notes: readonly string[] } {
  if (fault instanceof ElfError) return { text: `unsound: ${fault.structure}: ${fault.fault}`, notes: [fault.path] };
  // No list of places: a link on the way loops.
  return { text: "not found", notes: fault.details.tried ?? [fault.message] };
}

/** The glibc that it needs, if that is newer than the one chosen. A run would be refused. */
export const missedGlibc = ({ library, role }: Item, { trees }: Report): string | undefined =>
  role === "shared" || runsOn(library, trees.glibc.version) ? undefined : library.glibc;
