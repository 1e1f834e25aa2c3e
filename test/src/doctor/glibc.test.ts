// The glibc that everything runs on.

import { expect, test } from "bun:test";
import type { Library } from "../../../lib/elf/library.ts";
import {
  glibcFinding,
  type NamespaceFacts,
  namespaceFinding,
  staticTlsFinding,
  tooNew,
} from "../../../src/doctor/glibc.ts";
import { MachineFiles } from "../../../src/doctor/machine-files.ts";
import { SmallTree } from "../../lib/tree/small-tree.ts";
import { complaints } from "./levels.ts";

const library = (said: Partial<Library>): Library => ({
  path: "/tree/libx.so.1",
  soname: "libx.so.1",
  hasSoname: true,
  needed: [],
  filtees: [],
  rpath: undefined,
  runpath: undefined,
  avoidsDefaults: false,
  isFixed: false,
  isPie: false,
  isForStart: false,
  wantsExecutableStack: false,
  auditors: [],
  interpreter: undefined,
  startsByLibc: false,
  entersNamespaces: false,
  versions: [],
  tls: undefined,
  hasUnique: false,
  hasMalloc: false,
  hasOperatorNew: false,
  isSanitizer: false,
  versionsBeside: [],
  isLibc: false,
  glibc: undefined,
  isOfGlibc: false,
  release: undefined,
  gconv: undefined,
  ...said,
});

test("the chosen glibc is named, with those that were not", () => {
  const chosen = { version: "2.41", path: "/host/libc.so.6", isNatural: false };
  const { text } = glibcFinding(chosen, new Map([["in /", "2.36"]]));
  expect(text).toBe('programs run on glibc 2.41, of "/host/libc.so.6" (there is 2.36 in /)');
});

test("a library that needs a newer one hinders", () => {
  const libraries = [library({ glibc: "2.38" }), library({ glibc: "2.9" }), library({})];
  expect(complaints(tooNew(libraries, { version: "2.36" }))).toEqual(["hindrance glibc"]);
  expect(complaints(tooNew(libraries, { version: "2.41" }))).toEqual([]);
  const [finding] = tooNew([...libraries, library({ path: "/tree/liby.so", glibc: "2.39" })], { version: "2.36" });
  expect(finding?.text).toBe('2 libraries need a newer glibc than 2.36, which was chosen; "/tree/liby.so" needs 2.39');
});

test("a mount namespace that nobody needs is missed by nobody", () => {
  const look = (facts: Partial<NamespaceFacts>) =>
    complaints(
      namespaceFinding(new MachineFiles("/no/such"), {
        isNeeded: true,
        choice: "auto",
        fault: "unshare: EPERM",
        hasBubblewrap: () => false,
        ...facts,
      }),
    );
  expect(look({ fault: undefined })).toEqual([]);
  expect(look({ isNeeded: false })).toEqual([]);
  expect(look({ choice: "never" })).toEqual([]);
  expect(look({})).toEqual(["warning mount-namespace"]);
  expect(look({ choice: "always" })).toEqual(["hindrance mount-namespace"]);
  expect(look({ choice: "always", hasBubblewrap: () => true })).toEqual(["warning mount-namespace"]);
});

test("the setting that forbids one is named", () => {
  const settings = {
    "kernel/unprivileged_userns_clone": "0",
    "kernel/apparmor_restrict_unprivileged_userns": "1",
    "user/max_user_namespaces": "0",
  };
  for (const [path, value] of Object.entries(settings)) {
    using tree = new SmallTree({ [`/proc/sys/${path}`]: Buffer.from(`${value}\n`) });
    const facts = { isNeeded: true, choice: "auto", fault: "unshare: EPERM", hasBubblewrap: () => false } as const;
    const finding = namespaceFinding(new MachineFiles(tree.directory), facts);
    expect(finding.advice).toContain(path.replace("/", "."));
  }
});

test("static TLS hinders where glibc cannot be told of it, or not so aligned", () => {
  const tls = { size: 4096, alignment: 16, isStatic: true, exported: [], wanted: [] };
  const look = (size: number, alignment: number, isTunable: boolean) =>
    complaints(staticTlsFinding([[library({ tls: { ...tls, size, alignment } })]], isTunable));
  expect(look(40, 8, false)).toEqual([]);
  expect(look(4096, 16, true)).toEqual([]);
  expect(look(4096, 16, false)).toEqual(["hindrance static-tls"]);
  expect(look(40, 4096, true)).toEqual(["hindrance static-tls"]);
});
