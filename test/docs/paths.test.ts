// Documents name files of the repository: each is there, also after files have moved.

import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Glob } from "bun";
import { repository } from "../support/run.ts";

const documents = ["*.md", "docs/*.md"]
  .flatMap((pattern) => [...new Glob(pattern).scanSync(repository)])
  .filter((path) => path !== "CHANGELOG.md");

/** Where a document says that something is, as paths in the repository. */
function pathsIn(document: string): string[] {
  const text = readFileSync(join(repository, document), "utf8").replace(/^```[\s\S]*?^```/gm, "");
  const named = [...text.matchAll(/`((?:src|lib|test|docs|examples|fixtures|bench|schema)\/[\w./-]+)`/g)];
  const linked = [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)];
  return [...named.map(([, path = ""]) => path), ...linked.map(([, path = ""]) => join(dirname(document), path))];
}

test.each(documents)("%s names what is there", (document) => {
  expect(pathsIn(document).filter((path) => !existsSync(join(repository, path)))).toEqual([]);
});

test("the documents name files", () => {
  expect(documents.flatMap(pathsIn).length).toBeGreaterThan(80);
});
