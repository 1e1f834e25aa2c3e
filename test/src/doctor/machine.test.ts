// The machine, as its /proc shows it, and the limits of a process.

import { expect, test } from "bun:test";
import { machineFindings, type ProcessFacts } from "../../../src/doctor/machine.ts";
import { MachineFiles } from "../../../src/doctor/machine-files.ts";
import { SmallTree } from "../../lib/tree/small-tree.ts";
import { complaints, textOf } from "./levels.ts";

const GOOD: ProcessFacts = {
  ...{ architecture: "x64", bun: "1.4.5", neededBun: "1.4.5" },
  ...{ pidfdFault: undefined, procFault: undefined },
};

function findings(files: Record<string, string>, facts: Partial<ProcessFacts> = {}) {
  const kernel = { "/proc/sys/kernel/osrelease": "6.1.0-18-amd64\n" };
  const content = Object.entries({ ...kernel, ...files }).map(([path, text]) => [path, Buffer.from(text)] as const);
  using tree = new SmallTree(Object.fromEntries(content));
  return machineFindings(new MachineFiles(tree.directory), { ...GOOD, ...facts });
}

test("a machine as it should be gives no complaint", () => {
  expect(complaints(findings({}))).toEqual([]);
});

test("a kernel counts by its numbers: 5.3 does, 5.10 does, 4.19 and 5.2 do not", () => {
  const of = (release: string) => complaints(findings({ "/proc/sys/kernel/osrelease": release }));
  for (const release of ["5.3.0", "5.10.0-28-amd64", "6.18.44-custom", "10.0"]) expect(of(release)).toEqual([]);
  for (const release of ["4.19.0", "5.2.21-generic"]) expect(of(release)).toEqual(["hindrance kernel"]);
});

test("without /proc nothing can be found out", () => {
  expect(complaints(machineFindings(new MachineFiles("/no/such/root"), GOOD))).toEqual(["hindrance kernel"]);
});

test("another architecture hinders, and so does a kernel that hides processes; an older Bun may", () => {
  expect(complaints(findings({}, { architecture: "arm64" }))).toEqual(["hindrance architecture"]);
  expect(complaints(findings({}, { pidfdFault: "EPERM" }))).toEqual(["hindrance pidfd"]);
  expect(complaints(findings({}, { procFault: "/proc is elsewhere" }))).toEqual(["hindrance proc"]);
  expect(complaints(findings({}, { bun: "1.4.4" }))).toEqual(["warning bun"]);
  expect(complaints(findings({}, { bun: "1.10.0" }))).toEqual([]);
});

test("ptrace_scope hinders nobody, whatever it is", () => {
  for (const scope of ["0", "1", "2", "3"])
    expect(complaints(findings({ "/proc/sys/kernel/yama/ptrace_scope": scope }))).toEqual([]);
  const how = (scope: string) => textOf(findings({ "/proc/sys/kernel/yama/ptrace_scope": scope }), "memory");
  for (const scope of ["0", "1"]) expect(how(scope)).toContain("by process_vm_readv(2)");
  for (const scope of ["2", "3"]) expect(how(scope)).toContain("by a thread of theirs");
});

test("limits that are too low hinder, others do not", () => {
  const limits = (space: string, size: string, open = "1024") => ({
    "/proc/self/limits": [
      "Limit                     Soft Limit           Hard Limit           Units     ",
      `Max file size             ${size.padEnd(20)} unlimited            bytes     `,
      "Max locked memory         0                    0                    bytes     ",
      `Max address space         ${space.padEnd(20)} unlimited            bytes     `,
      `Max open files            ${open.padEnd(20)} 1048576              files     `,
    ].join("\n"),
  });
  expect(complaints(findings(limits("unlimited", "unlimited")))).toEqual([]);
  expect(complaints(findings(limits("4294967296", "4194304")))).toEqual([]);
  expect(complaints(findings(limits("614400000", "524288")))).toEqual([
    "hindrance address-space",
    "hindrance file-size",
  ]);
  expect(complaints(findings(limits("unlimited", "unlimited", "32")))).toEqual(["hindrance open-files"]);
  expect(textOf(findings(limits("614400000", "unlimited")), "address-space")).toContain("585 MiB");
});
