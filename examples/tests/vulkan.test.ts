// The same for Vulkan, in a file of its own: each has its capsule, and knows nothing of the other's.

import { expect, test } from "bun:test";
import { openCapsule } from "capsule";

const version = (packed: number): string => [packed >> 22, (packed >> 12) & 0x3ff].join(".");

test("the loader is new enough for Vulkan 1.1", () => {
  using capsule = openCapsule({ libraries: ["libvulkan.so.1"] });
  const { symbols } = capsule.dlopen("libvulkan.so.1", {
    vkEnumerateInstanceVersion: { args: ["ptr"], returns: "i32" },
  });
  const packed = new Uint32Array(1);
  expect(symbols.vkEnumerateInstanceVersion(packed)).toBe(0);
  expect(Number(version(packed[0] ?? 0))).toBeGreaterThanOrEqual(1.1);
});

test("nothing of it stays behind", () => {
  const capsule = openCapsule({ libraries: ["libvulkan.so.1"] });
  const { path } = capsule.answers[0] ?? { path: "" };
  expect([...capsule].map((object) => object.path)).toContain(path);
  expect(capsule.close()).toEqual([]);
  using another = openCapsule();
  expect([...another].map((object) => object.path)).not.toContain(path);
});
