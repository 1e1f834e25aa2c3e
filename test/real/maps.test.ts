// What a program that draws has mapped, seen from outside.

import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { realpathSync } from "node:fs";
import { Display } from "../support/display.ts";
import { bookworm, bullseye, itself } from "../support/hosts.ts";
import { filesNamed, isWritableAndExecutable, type Mapping, mappingsOf, relroPages } from "../support/maps.ts";
import { capsuleCommand, start } from "../support/run.ts";

setDefaultTimeout(600_000);

let display: Display;
beforeEach(async () => {
  display = await Display.start();
});
afterEach(() => display[Symbol.asyncDispose]());

/** Of glxgears, once it draws. */
const mappingsWhileDrawing = (argv: string[]): Promise<Mapping[]> => whileDrawing(argv, (mappings) => mappings);

/** `look` may open what is mapped: a run's own files are removed soon after it has ended. */
async function whileDrawing<Result>(argv: string[], look: (mappings: Mapping[]) => Result): Promise<Result> {
  await using program = start(argv, { env: display.env });
  await display.until((picture) => picture.patch("blue").count > 1000, program);
  return look(mappingsOf(program.pid));
}

/** Of a Bun that does nothing, but has run something. */
async function mappingsOfBun(): Promise<Mapping[]> {
  await using bun = start([process.execPath, "-e", 'console.log("up"); setInterval(() => {}, 1000)']);
  await bun.line((line) => line === "up");
  return mappingsOf(bun.pid);
}

for (const host of [bullseye, bookworm, itself]) {
  describe(`glxgears on the Mesa of ${host.words}`, () => {
    test("has the libraries that cross the border from the host tree, and from nowhere else", async () => {
      const directory = realpathSync(await host.directory());
      const mappings = await mappingsWhileDrawing(capsuleCommand(["--host", directory], "glxgears"));
      for (const name of [/^libX11\.so\./, /^libxcb\.so\./, /^libLLVM-/, /^libstdc\+\+\.so\./, /^libGL\.so\./]) {
        const files = filesNamed(mappings, name).filter((path) => mappings.some((m) => m.path === path && isCode(m)));
        expect(files).toHaveLength(1);
        expect(files[0]).toStartWith(directory);
      }
    });

    test("has one libc", async () => {
      const directory = await host.directory();
      const mappings = await mappingsWhileDrawing(capsuleCommand(["--host", directory], "glxgears"));
      // libc-2.31.so is what the file was called before glibc 2.34
      expect(filesNamed(mappings.filter(isCode), /^libc(\.so\.6|-2\.\d+\.so)$/)).toHaveLength(1);
      expect(filesNamed(mappings.filter(isCode), /^ld-linux-x86-64\.so\.2$|^ld-2\.\d+\.so$/)).toHaveLength(1);
    });

    test("has nothing both writable and executable that Bun or Mesa do not have natively", async () => {
      const directory = await host.directory();
      const model = await mappingsWhileDrawing(["glxgears"]);
      const mappings = await mappingsWhileDrawing(capsuleCommand(["--host", directory], "glxgears"));
      const found = mappings.filter(isWritableAndExecutable);
      expect(found.filter(({ path }) => path !== "")).toEqual([]);
      const expected = [...model, ...(await mappingsOfBun())].filter(isWritableAndExecutable);
      expect(found.length).toBeLessThanOrEqual(expected.length);
      const size = (list: Mapping[]) => list.reduce((sum, { start, end }) => sum + end - start, 0);
      expect(size(found)).toBeLessThanOrEqual(size(expected));
    });

    test("has every RELRO page read-only, as natively", async () => {
      const directory = await host.directory();
      const model = await whileDrawing(["glxgears"], relroPages);
      expect(model.length).toBeGreaterThan(20);
      expect(model.filter(({ permissions }) => permissions.some((p) => p !== "r--p"))).toEqual([]);
      const pages = await whileDrawing(capsuleCommand(["--host", directory], "glxgears"), relroPages);
      expect(pages.length).toBeGreaterThan(20);
      expect(pages.filter(({ permissions }) => permissions.some((p) => p !== "r--p"))).toEqual([]);
    });
  });
}

function isCode({ permissions }: Mapping): boolean {
  return permissions.includes("x");
}
