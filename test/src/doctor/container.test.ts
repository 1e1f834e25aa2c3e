// Containers, told by what is in their roots.

import { expect, test } from "bun:test";
import { containerFinding } from "../../../src/doctor/container.ts";
import { MachineFiles } from "../../../src/doctor/machine-files.ts";
import { SmallTree } from "../../lib/tree/small-tree.ts";
import { complaints } from "./levels.ts";

function finding(marks: string[], hosts: string[], variables = {}) {
  using tree = new SmallTree(Object.fromEntries(marks.map((mark) => [mark, Buffer.from("systemd-nspawn\n")])));
  return containerFinding(new MachineFiles(tree.directory), hosts, variables);
}

test("outside of containers the machine's own libraries are as good as any", () => {
  expect(complaints(finding([], ["/"]))).toEqual([]);
});

test("a container that shows its host is fine, and one that does not is told how to", () => {
  const kinds: [mark: string, name: string, advice: string][] = [
    ["/.flatpak-info", "Flatpak", "--filesystem=host-os"],
    ["/run/pressure-vessel/env", "Steam", "/run/host"],
    ["/run/.containerenv", "Podman", "-v /:/run/host:ro"],
    ["/.dockerenv", "Docker", "-v /:/run/host:ro"],
    ["/run/systemd/container", "systemd-nspawn", "--host"],
  ];
  for (const [mark, name, advice] of kinds) {
    expect(complaints(finding([mark], ["/run/host"]))).toEqual([]);
    const found = finding([mark], ["/"]);
    expect(found).toMatchObject({ level: "warning", text: expect.stringContaining(name) });
    expect(found.advice).toContain(advice);
  }
});

test("a Snap is known by its variable", () => {
  expect(finding([], ["/"], { SNAP: "/snap/game/1" }).text).toContain("a Snap");
});
