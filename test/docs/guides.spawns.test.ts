// What stands between the words of the guides is true: files that are shown are the files,
// and TypeScript is TypeScript that compiles.

import { describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { repository, run } from "../support/run.ts";

interface Block {
  readonly page: string;
  readonly line: number;
  readonly language: string;
  /** The file that it shows, by the comment in front of it. */
  readonly file: string | undefined;
  readonly text: string;
}

const FENCE = /^(?:<!-- (\S+) -->\n\n)?```(\w*)\n(.*?)^```$/gms;

const pages = ["README.md", ...readdirSync(join(repository, "docs")).map((name) => join("docs", name))].filter((name) =>
  name.endsWith(".md"),
);
const textOf = (page: string) => readFileSync(join(repository, page), "utf8");
const blocks: Block[] = pages.flatMap((page) => {
  const all = textOf(page);
  return [...all.matchAll(FENCE)].map(({ index, 1: file, 2: language = "", 3: text = "" }) => {
    return { page, line: all.slice(0, index).split("\n").length, language, file, text };
  });
});

describe("a file that a guide shows is that file:", () => {
  for (const { page, file, text } of blocks)
    if (file !== undefined)
      test(`${file} in ${page}`, () => {
        expect(text).toBe(readFileSync(join(repository, file), "utf8"));
      });
});

test("TypeScript in the guides, and in comments, compiles", async () => {
  const directory = mkdtempSync(join(tmpdir(), "capsule-test-guides-"));
  // The reference has signatures, too.
  const written = blocks.filter(
    ({ language, file, text }) => language === "ts" && file === undefined && text.startsWith("import "),
  );
  expect(written.length).toBeGreaterThan(10);
  for (const { page, line, text } of written)
    writeFileSync(join(directory, `${basename(page, ".md")}-${line}.ts`), text);
  const settings = {
    extends: join(repository, "tsconfig.json"),
    compilerOptions: {
      paths: { capsule: [join(repository, "src/index.ts")] },
      typeRoots: [join(repository, "node_modules/@types")],
      moduleDetection: "force",
    },
    include: ["*.ts"],
  };
  writeFileSync(join(directory, "tsconfig.json"), JSON.stringify(settings));
  const tsc = join(repository, "node_modules/typescript/bin/tsc");
  const { stdout, exitCode } = await run([process.execPath, tsc, "-p", directory], { timeout: 50_000 });
  expect(stdout).toBe("");
  expect(exitCode).toBe(0);
  rmSync(directory, { recursive: true });
});

test("JSON in the guides is JSON, a line each or in one piece", () => {
  for (const { text } of blocks.filter(({ language }) => language === "json"))
    for (const piece of text.startsWith("{\n") ? [text] : text.trim().split("\n"))
      expect(JSON.parse(piece)).toBeTruthy();
});

test("what the guides link to is there", () => {
  const anchorsOf = (text: string) => [
    ...[...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\w\- ]/g, "")
        .replaceAll(" ", "-"),
    ),
    ...[...text.matchAll(/<a id="([^"]+)">/g)].map(([, id = ""]) => id),
  ];
  const missing = pages.flatMap((page) => {
    const links = [...textOf(page).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)];
    return links.flatMap(([, path = "", anchor]) => {
      const target = path === "" ? page : join(page, "..", path);
      if (!existsSync(join(repository, target))) return [`${page}: ${path}`];
      if (anchor === undefined || anchorsOf(textOf(target)).includes(anchor)) return [];
      return [`${page}: ${path}#${anchor}`];
    });
  });
  expect(missing).toEqual([]);
});
