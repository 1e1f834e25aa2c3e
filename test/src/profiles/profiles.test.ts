// The data of the profiles: what nobody notices until a machine has the one library that is misspelt.

import { describe, expect, test } from "bun:test";
import { AHEAD, FAMILIES, LIBDIR, NEWEST, PROFILES } from "../../../src/profiles/profiles.ts";
import { isShared } from "../../../src/profiles/shared-set.ts";

const SONAME = /^lib[A-Za-z0-9_+-]+\.so\.\d+$/;
const expectOnce = (list: readonly string[]) => expect(list.toSorted()).toEqual([...new Set(list)].toSorted());

test("the profiles are those of the documentation", () => {
  expect(Object.keys(PROFILES)).toEqual(["gl", "egl", "vulkan", "video", "cl", "nvidia"]);
});

describe.each(Object.entries(PROFILES))("profile %s", (name, profile) => {
  const sonames = [...profile.isolate, ...profile.newest];

  test("has a name for a command line, and a summary for its help", () => {
    expect(name).toMatch(/^[a-z][a-z0-9-]*$/);
    expect(name.length).toBeLessThan(10);
    expect(profile.summary).toMatch(/^\S.*[^.\s]$/);
  });

  test("lists sonames, each once, and none of which the process has one copy", () => {
    for (const soname of sonames) expect(soname).toMatch(SONAME);
    expectOnce(sonames);
    expect(sonames.filter(isShared)).toEqual([]);
  });

  test("brings along the connection to the X server, which crosses the border", () => {
    for (const soname of ["libX11.so.6", "libxcb.so.1"]) expect(profile.isolate).toContain(soname);
  });

  test("sets each variable once, to absolute paths in the tree or below its library directories", () => {
    expectOnce(profile.environment.map((variable) => variable.name));
    for (const variable of profile.environment) {
      expect(variable.name).toMatch(/^[A-Z_]+$/);
      if (variable.kind === "cache") continue;
      if (variable.kind === "value") throw new Error(`${variable.name} leads nowhere in a tree`);
      const { kind, paths } = variable;
      expect(["directories", "manifests", "first"]).toContain(kind);
      expect(paths.length).toBeGreaterThan(0);
      for (const path of paths) {
        expect(path.startsWith(LIBDIR) ? path.slice(LIBDIR.length) : path).toMatch(/^\/[^$]*[^/$]$/);
      }
      expectOnce(paths);
    }
  });
});

test("what is read ahead is of isolated libraries, and can be found", () => {
  const isolated = Object.values(PROFILES).flatMap(({ isolate }) => isolate);
  for (const [soname, names] of Object.entries(AHEAD)) {
    expect(isolated).toContain(soname);
    for (const ahead of names) {
      if (ahead.startsWith(LIBDIR)) expect(ahead.slice(LIBDIR.length)).toMatch(/^\/.*\.so/);
      else expect(ahead).toMatch(SONAME);
    }
  }
});

test("a variable that several profiles set is the same in all of them", () => {
  const known = new Map<string, unknown>();
  for (const { environment } of Object.values(PROFILES))
    for (const variable of environment) {
      if (known.has(variable.name)) expect(variable).toEqual(known.get(variable.name) as typeof variable);
      known.set(variable.name, variable);
    }
});

test("a library is either always the host's or the newer one's, in all profiles alike", () => {
  const isolated = new Set(Object.values(PROFILES).flatMap(({ isolate }) => isolate));
  expect(Object.values(PROFILES).flatMap(({ newest }) => newest.filter((soname) => isolated.has(soname)))).toEqual([]);
});

describe("families", () => {
  const all = Object.values(FAMILIES);
  const named = new Set(Object.values(PROFILES).flatMap(({ isolate, newest }) => [...isolate, ...newest]));

  test("are of the profiles' libraries, each of which is in one", () => {
    expectOnce(all.flatMap(({ libraries }) => libraries));
    expect(all.flatMap(({ libraries }) => libraries).toSorted()).toEqual([...named].toSorted());
  });

  test("bring along families that come behind them, and bring none themselves", () => {
    const names = Object.keys(FAMILIES);
    for (const [name, { brings }] of Object.entries(FAMILIES))
      for (const brought of brings) {
        expect(names.indexOf(brought)).toBeGreaterThan(names.indexOf(name));
        expect(FAMILIES[brought]?.brings).toEqual([]);
      }
  });

  test("say the same as the profiles of what is the newer one's", () => {
    const newest = new Set(Object.values(PROFILES).flatMap((profile) => profile.newest));
    expect(NEWEST.toSorted()).toEqual([...newest].toSorted());
  });
});
