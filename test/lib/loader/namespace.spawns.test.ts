// glibc's private record of namespaces, in a process of its own: what is found there is changed.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { run } from "../../support/run.ts";
import { Scratch } from "../elf/scratch.ts";
import type { Scopes } from "./scopes.ts";

setDefaultTimeout(20_000);

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

const CALLER = `
#include <dlfcn.h>
void *open_inside(const char *path, int mode) { return dlopen(path, mode); }
const char *why_not(void) { return dlerror(); }
`;

let scopes: Scopes;
beforeAll(async () => {
  const flags = ["-shared", "-fPIC", "-nostdlib"];
  const caller = scratch.compile("libcaller.so", CALLER, "-shared", "-fPIC");
  const provider = scratch.compile("libprovider.so", "int capsule_test_red(void) { return 1; }", ...flags);
  const user = scratch.compile(
    "libuser.so",
    "extern int capsule_test_red(void); int use(void) { return capsule_test_red(); }",
    ...flags,
  );
  const outcome = await run([process.execPath, join(import.meta.dir, "scopes.ts"), caller, provider, user]);
  expect(outcome).toMatchObject({ stderr: "", exitCode: 0, signal: null });
  scopes = JSON.parse(outcome.stdout) as Scopes;
});

describe("linkMap()", () => {
  test("lists the objects of a namespace in load order, the program first", () => {
    expect(scopes.loaded[0]).toBe("");
    expect(scopes.loaded.some((path) => path.endsWith("/libc.so.6"))).toBe(true);
  });

  test("lists them all, whichever it is given", () => {
    expect(scopes.fromTheMiddle).toEqual(scopes.loaded);
  });
});

describe("baseScope()", () => {
  test("has what the process was started with, in search order", () => {
    expect(scopes.global.length).toBeGreaterThan(1);
    // The vDSO is loaded, but nobody searches it.
    expect(scopes.global).toEqual(scopes.loaded.filter((path) => !path.startsWith("linux-vdso")));
  });

  test("is the same when it has been set to the same", () => {
    expect(scopes.afterSet).toEqual(scopes.global);
  });
});

describe("allowGlobal()", () => {
  test("lets a library be opened in a namespace so that the next one finds its symbols", () => {
    expect(scopes.before).toContain("undefined symbol: capsule_test_red");
    expect(scopes.repaired).toBe(true);
    expect([scopes.opened, scopes.after]).toEqual(["opened", "opened"]);
  });

  test("may be called again", () => {
    expect(scopes.again).toBe(true);
  });

  test("shows nothing of it to the base namespace", () => {
    expect(scopes.inBase).toBe(false);
  });
});

test("findCounting() says how many namespaces there are", () => {
  expect(scopes.counting).toEqual({ namespaces: 2, hasFirst: true });
});

test("findFinalizer() finds ld.so's own function for the end of the process", () => {
  expect(scopes.finalizer).toMatch(/\/ld-[^/]+$/);
});

test("what does not look as expected is left alone", () => {
  expect(Object.entries(scopes.misled).filter(([, isMisled]) => isMisled)).toEqual([]);
  expect(Object.keys(scopes.misled)).toHaveLength(10);
});
