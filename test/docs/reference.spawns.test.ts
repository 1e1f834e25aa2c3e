// The page about the library says all that there is to it.

import { beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { makeReference, PAGE, type Reference } from "../../docs/reference/make.ts";

/** Whoever adds a function has to say what it throws, or that it throws nothing of ours. */
const THROWS_NOTHING = ["Capsule.linkMap", "Capsule.[iterator]", "Running.kill", "Running.[asyncDispose]"];

let reference: Reference;

beforeAll(async () => {
  reference = await makeReference();
});

test("every public name, property, parameter and type parameter is documented", () => {
  expect(reference.complaints).toEqual([]);
});

test("every function says which of the errors that there are it throws", () => {
  const errors = [...reference.classes.filter((name) => name.endsWith("Error")), "Error", "TypeError"];
  const wrong = reference.functions.flatMap(({ name, throws }) => {
    const isSilent = throws.length === 0 && !THROWS_NOTHING.includes(name);
    const unknown = throws.filter((error) => !errors.includes(error));
    return [...(isSilent ? [name] : []), ...unknown.map((error) => `${name} throws ${error}`)];
  });
  expect(wrong).toEqual([]);
  expect(reference.functions.map(({ name }) => name)).toContain("Capsule.dlopen");
});

test("the page is what the sources say; if not, `npm run docs` writes it anew", () => {
  expect(readFileSync(PAGE, "utf8")).toBe(reference.page);
});
