import { expect, test } from "bun:test";
import { inShares, PLAIN } from "../../../lib/tree/layout.ts";

test("inShares() has what is below /usr/share in each of a tree's places for it, and any other path alone", () => {
  const layout = { ...PLAIN, shares: ["/run/opengl-driver/share", "/gnu/share"] };
  expect(inShares("/usr/share/vulkan/icd.d", layout)).toEqual([
    "/usr/share/vulkan/icd.d",
    "/run/opengl-driver/share/vulkan/icd.d",
    "/gnu/share/vulkan/icd.d",
  ]);
  for (const path of ["/etc/vulkan/icd.d", "/usr/shared", "/opt/usr/share/"])
    expect(inShares(path, layout)).toEqual([path]);
  expect(inShares("/usr/share/vulkan", PLAIN)).toEqual(["/usr/share/vulkan"]);
});
