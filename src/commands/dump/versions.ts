// Symbol versions: those that the file defines, and those that it needs from others.

import { readVersionParents } from "../../../lib/elf/versions.ts";
import { printable } from "../../diagnostics/output.ts";
import { columns, type Part } from "./part.ts";
import { type Subject, UNREADABLE } from "./subject.ts";

function dataOf(subject: Subject) {
  const { image } = subject;
  if (!image) return undefined;
  const defined = subject.attempt(() => {
    const view = image.verdefView;
    if (!view) return [];
    const parents = readVersionParents(image.path, view, image.strings);
    return image.verdefs.map((version, i) => ({ ...version, parents: parents[i] ?? [] }));
  });
  const needed = subject.attempt(() => {
    const files = Map.groupBy(image.verneeds, ({ file }) => file);
    return Array.from(files, ([file, all]) => ({
      file,
      versions: all.map(({ index, name, isWeak }) => ({ index, name, isWeak })),
    }));
  });
  return { defined: defined ?? null, needed: needed ?? null };
}

function* lines(subject: Subject): Generator<string> {
  const data = dataOf(subject);
  if (!data) {
    yield `Versions: ${subject.absence}`;
    return;
  }
  yield `Versions defined: ${data.defined ? data.defined.length || "none" : UNREADABLE}`;
  const defined = (data.defined ?? []).map(({ index, name, isBase, isWeak, parents }) => {
    const inherited = parents.map((parent) => `inherits ${printable(parent)}`);
    const remarks = [...(isBase ? ["(the file itself)"] : []), ...(isWeak ? ["(weak)"] : []), ...inherited];
    return [`${index}`, printable(name), remarks.join(" ")];
  });
  yield* columns(defined, [0]);
  const needed = data.needed?.reduce((sum, { versions }) => sum + versions.length, 0);
  yield `Versions needed: ${needed === undefined ? UNREADABLE : needed || "none"}`;
  for (const { file, versions } of data.needed ?? []) {
    yield `  of ${printable(file)}`;
    const rows = versions.map(({ index, name, isWeak }) => [`${index}`, printable(name), isWeak ? "(weak)" : ""]);
    yield* columns(rows, [0]).map((line) => `  ${line}`);
  }
}

export const versions: Part = { summary: "versions that it defines and needs", data: dataOf, text: lines };
