// Which libraries come with those that are named or have a tree, and from where.

import { describe, expect, test } from "bun:test";
import { UsageError } from "../../../src/diagnostics/errors.ts";
import { FAMILIES } from "../../../src/profiles/profiles.ts";
import { joinFamilies } from "../../../src/settings/families.ts";
import type { Setting, Source } from "../../../src/settings/source.ts";
import type { LibraryChoice } from "../../../src/settings/tree-options.ts";

const FLAG: Source = { kind: "flag", name: "--isolate" };
const HOST: Setting<string> = { value: "/host", source: { kind: "default" } };

/** "libGL.so.1": named; "libGL.so.1=/tree": has a tree; "(libGL.so.1)": of a profile. Result: soname → tree, leader. */
function joined(...given: string[]) {
  const trees = new Map<string, Setting<string>>();
  const libraries = new Map<string, LibraryChoice>();
  const named = new Set<string>();
  for (const one of given) {
    const [, soname = "", tree] = /^\(?([^=)]*)\)?(?:=(.*))?$/.exec(one) ?? [];
    if (tree !== undefined) trees.set(soname, { value: tree, source: FLAG });
    const isExplicit = !one.startsWith("(");
    if (isExplicit) named.add(soname);
    libraries.set(soname, { soname, host: trees.get(soname) ?? HOST, isExplicit, profiles: [], source: FLAG });
  }
  const hostOf = (soname: string) => trees.get(soname) ?? HOST;
  joinFamilies(libraries, { host: HOST, hostOf, isNamed: (soname) => named.has(soname) });
  return new Map(
    [...libraries].map(([soname, { host, follows }]) => [
      soname,
      [host.value, follows?.soname, follows?.otherwise?.value].filter((one) => one !== undefined).join(" "),
    ]),
  );
}

const each = (family: string, said: string) =>
  (FAMILIES[family]?.libraries ?? []).map((soname) => [soname, said] as const);

describe("joinFamilies()", () => {
  test.each<[string, given: string[], expected: (readonly [string, string])[]]>([
    ["a profile's library alone", ["(libGL.so.1)"], [["libGL.so.1", "/host"]]],
    [
      "a named one brings its family, and those that the family brings",
      ["libvdpau.so.1"],
      [...each("x11", "/host libvdpau.so.1"), ["libvdpau.so.1", "/host"]],
    ],
    [
      "one with a tree, too, from there",
      ["libvdpau.so.1=/a"],
      [...each("x11", "/a libvdpau.so.1"), ["libvdpau.so.1", "/a"]],
    ],
    [
      "one with a tree leads before one that is named",
      ["libX11.so.6", "libxcb.so.1=/a"],
      [...each("x11", "/a libxcb.so.1"), ["libX11.so.6", "/a libxcb.so.1 /host"], ["libxcb.so.1", "/a"]],
    ],
    [
      "what a profile has follows, and may come from the host's tree otherwise",
      ["libX11.so.6=/a", "(libxcb.so.1)"],
      [...each("x11", "/a libX11.so.6"), ["libxcb.so.1", "/a libX11.so.6 /host"], ["libX11.so.6", "/a"]],
    ],
    [
      "a family that is there is not brought",
      ["libvdpau.so.1=/a", "(libXext.so.6)"],
      [
        ["libXext.so.6", "/host"],
        ["libvdpau.so.1", "/a"],
      ],
    ],
  ])("%s", (_, given, expected) => {
    expect([...joined(...given)].sort()).toEqual([...new Map(expected)].sort());
  });

  test("one family has one tree", () => {
    expect(() => joined("libX11.so.6=/a", "libxcb.so.1=/b")).toThrow(UsageError);
    expect(() => joined("libX11.so.6=/a", "libxcb.so.1=/b")).toThrow(
      'Cannot take "libX11.so.6" from "/a", and "libxcb.so.1" from "/b": libX11.so.6, ',
    );
    expect(() => joined("libX11.so.6=/a", "libxcb.so.1=/b/../a")).not.toThrow();
  });
});
