// How the pages of the documentation begin.

import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { repository } from "../support/run.ts";

const pages = readdirSync(join(repository, "docs")).filter((name) => name.endsWith(".md"));

test.each(pages)("%s says first for whom it is", (page) => {
  const text = readFileSync(join(repository, "docs", page), "utf8").replace(/^<!--.*?-->\s*/s, "");
  const [title = "", first = ""] = text.split(/\n\n+/);
  expect(title).toMatch(/^# \S/);
  expect(first).toMatch(/^For (everybody|readers|people|players|authors) /);
});
