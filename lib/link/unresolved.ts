// The error for a symbol that no object defines: its requester, the symbol, and each asked object's answer.

import type { Answer } from "../elf/find-symbol.ts";
import type { Image } from "../elf/image.ts";
import { nameOf, RELOCATION_TYPES } from "../elf/names.ts";
import { LinkError } from "../link-error.ts";
import { hex } from "../memory/numbers.ts";
import { purposeOf } from "./lookup.ts";
import type { Entry, Requester } from "./relocation.ts";

export function unresolved({ object, lookup, scope }: Requester, { type, vaddr, symbol }: Entry): LinkError {
  const { symbols } = object.image;
  const name = symbols.nameOf(symbols.at(symbol));
  const version = object.image.versionOf(symbol);
  const asked: string[] = [];
  const tried: string[] = [];
  lookup.find(object, symbol, scope, purposeOf(type), (definer, answer) => {
    const reason = reasonOf(answer, definer.image, name);
    asked.push(`"${definer.library.soname}"${answer === "no such name" ? "" : ` (${reason})`}`);
    tried.push(`${definer.path}: ${reason}`);
  });
  const wanted = `"${name}"${version === undefined ? "" : ` of version "${version}"`}`;
  const place = `${nameOf(RELOCATION_TYPES, type)} at vaddr ${hex(vaddr)}`;
  return new LinkError(
    `Cannot relocate "${object.path}": ${place} wants ${wanted}, which no object defines; asked were ${asked.join(", ")}`,
    { object: object.path, symbol: name, ...(version === undefined ? {} : { version }), tried },
  );
}

function reasonOf(answer: Answer, image: Image, name: string): string {
  switch (answer) {
    case "no such name":
      return "does not have it";
    case "undefined":
      return "wants it, too";
    case "another version":
      return `has it in version ${image
        .findAll(name)
        .map((symbol) => `"${image.versionOf(symbol)}"`)
        .join(" and ")}`;
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
