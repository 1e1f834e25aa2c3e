// The error for a symbol that nobody defines: who wants it, what it is, and what each
// object that was asked has to do with it.

import { nameOf, RELOCATION_TYPES } from "../elf/names.ts";
import { LinkError } from "../loader/error.ts";
import { hex, type Vaddr } from "../memory/numbers.ts";
import type { Answer } from "./candidates.ts";
import { type Lookup, purposeOf } from "./lookup.ts";
import type { LinkObject } from "./objects.ts";
import type { Scope } from "./scope.ts";

export function unresolved(
  lookup: Lookup,
  scope: Scope,
  object: LinkObject,
  type: number,
  vaddr: Vaddr,
  symbol: number,
): LinkError {
  const { symbols } = object.image;
  const name = symbols.nameOf(symbols.at(symbol));
  const version = object.tables.versionOf(symbol);
  const tried: string[] = [];
  lookup.find(object, symbol, scope, purposeOf(type), ({ path, image }, answer) =>
    tried.push(
      `${path}: ${reasonOf(
        answer,
        [...image.findAll(name)].map((found) => image.versionOf(found)),
      )}`,
    ),
  );
  const wanted = `"${name}"${version === undefined ? "" : ` of version "${version}"`}`;
  const place = `${nameOf(RELOCATION_TYPES, type)} at vaddr ${hex(vaddr)}`;
  return new LinkError(
    `Cannot relocate "${object.path}": ${place} wants ${wanted}, which no object defines; asked were ${tried.join("; ")}`,
    { object: object.path, symbol: name, ...(version === undefined ? {} : { version }), tried },
  );
}

function reasonOf(answer: Answer, versions: readonly (string | undefined)[]): string {
  switch (answer) {
    case "no such name":
      return "does not have it";
    case "undefined":
      return "wants it, too";
    case "another version":
      return `has it in version ${versions.map((version) => `"${version}"`).join(" and ")}`;
    case "hidden":
      return "keeps it to itself (hidden)";
    case "local":
      return "keeps it to itself (local)";
    case "no code or data":
      return "has something else of that name";
    default:
      return "has it";
  }
}
