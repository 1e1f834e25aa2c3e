// A host tree's libraries: those of the profiles, and what they need.

import { expect, test } from "bun:test";
import { Search } from "../../../lib/tree/search.ts";
import { type Complaint, hindrance, warning } from "../../../src/doctor/finding.ts";
import { dependencyFindings, profileFindings } from "../../../src/doctor/libraries.ts";
import { PROFILES } from "../../../src/profiles/profiles.ts";
import { type Content, SmallTree } from "../../lib/tree/small-tree.ts";
import { complaints, textOf } from "./levels.ts";

const ASKED = new Set(["vulkan"]);

function profiles(host: string[], runtime: string[], names: string[], asked = new Set<string>()) {
  const treeOf = (sonames: string[]) =>
    new SmallTree(Object.fromEntries(sonames.map((soname) => [`/lib64/${soname}`, { soname }])));
  using one = treeOf(host);
  using other = treeOf(runtime);
  return profileFindings(new Search(one.tree), new Search(other.tree), names, PROFILES, asked);
}

test("a profile that only the runtime has is the runtime's, which is told", () => {
  expect(complaints(profiles(["libvulkan.so.1"], [], ["vulkan"]))).toEqual([]);
  expect(complaints(profiles([], ["libvulkan.so.1"], ["vulkan"]))).toEqual(["warning profile-vulkan"]);
  expect(complaints(profiles([], [], ["vulkan"]))).toEqual([]);
});

test("one that the user has asked for hinders where it is not there", () => {
  expect(complaints(profiles([], ["libvulkan.so.1"], ["vulkan"], ASKED))).toEqual(["hindrance profile-vulkan"]);
  expect(complaints(profiles([], [], ["vulkan"], ASKED))).toEqual(["hindrance profile-vulkan"]);
});

test("what several profiles have makes none of them", () => {
  const X11 = ["libX11.so.6", "libxcb.so.1", "libXext.so.6", "libX11-xcb.so.1"];
  expect(complaints(profiles(X11, ["libvulkan.so.1"], ["vulkan"]))).toEqual(["warning profile-vulkan"]);
});

test("a library that lacks something is named once, with what it lacks", () => {
  const content: Record<string, Content> = {
    "/lib64/libGL.so.1": { soname: "libGL.so.1", needed: ["libgone.so.1", "libc.so.6", "libbad.so.1"] },
    "/lib64/libEGL.so.1": { soname: "libEGL.so.1", needed: ["libgone.so.1"] },
    "/lib64/libbad.so.1": Buffer.from("\x7fELF\x02\x01\x01 and no more than that"),
  };
  using tree = new SmallTree(content);
  const roots = ["libGL.so.1", "libEGL.so.1"];
  const look = (make: Complaint) =>
    dependencyFindings("libraries", new Search(tree.tree), roots, (soname) => soname === "libc.so.6", make);
  const { findings, libraries } = look(hindrance);
  expect(complaints(findings)).toEqual(["hindrance libraries", "hindrance libraries"]);
  expect(textOf(findings, "libraries")).toMatch(/libGL\.so\.1" needs "libgone\.so\.1", which .* does not have$/);
  expect(libraries.map(({ soname }) => soname)).toEqual(["libGL.so.1", "libEGL.so.1"]);
  expect(complaints(look(warning).findings)).toEqual(["warning libraries", "warning libraries"]);
});
