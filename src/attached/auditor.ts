// The auditor of a launch, where LD_AUDIT leads to: an object for each platform that ld.so may put there. That for 32-bit
// programs does nothing; an ld.so that found none would complain.
//
//   lib/audit                                        leads to one of them
//   lib/auditors/libcapsule-audit-x86_64.so          also as haswell and xeon_phi
//   lib/auditors/libcapsule-audit-i686.so            also as i586, i486 and i386
//
// A program in-process has been given that variable before it is known whether it will start anything. Until then the
// link leads to a kept directory with two that do nothing.

import { mkdirSync, readdirSync, renameSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { compareVersions } from "../../lib/elf/glibc-version.ts";
import { codeObject } from "../../lib/elf/write/code-object.ts";
import { i386Object } from "../../lib/elf/write/i386-object.ts";
import type { System } from "../../lib/process/system.ts";
import { type AuditorTargets, auditorCode } from "../agent/code/auditor.ts";
import { hint, type PrivateDirectory } from "../directories/private-directory.ts";
import { AUDITOR_DIRECTORY, auditorObject, INTERFACE } from "../glibc/auditing.ts";
import { versionOf } from "../glibc/choice.ts";
import type { Footing } from "../glibc/footing.ts";
import { keptDirectory } from "../glibc/kept-directories.ts";
import { IDENTITY_OBJECT } from "./detours.ts";
import { LIBRARIES, librariesIn, type ServingDirectory } from "./serving-directory.ts";
import { AGENT } from "./shims.ts";

/** Platform → those that are the same to us. */
const PLATFORMS = { x86_64: ["haswell", "xeon_phi"], i686: ["i586", "i486", "i386"] } as const;
const AUDITORS_OF_LAUNCH = "auditors";

/**
 * Has ld.so find what is among the launch's libraries by now. `detours` are those names of them by which a program is
 * started over, `auditedAt` is where the agent wants to be told. Throws what writing throws.
 */
export function placeAuditor(
  directory: ServingDirectory,
  detours: ReadonlySet<string>,
  { starter }: Footing,
  auditedAt: number,
): void {
  const { libraries } = directory;
  const names = readdirSync(libraries).filter((name) => name !== AUDITOR_DIRECTORY);
  const paths = (list: readonly string[]) => new Map(list.map((name) => [name, join(libraries, name)]));
  // The ld.so that starts a program over may be an older one than that which then runs it.
  const isNew = starter && compareVersions(versionOf(starter), INTERFACE.since) >= 0;
  const object = auditor({
    files: paths(names.filter((name) => !detours.has(name))),
    detours: paths(names.filter((name) => detours.has(name))),
    started: starter && IDENTITY_OBJECT,
    agent: join(libraries, AGENT),
    auditedAt,
    leastVersion: isNew ? 1 : INTERFACE.version,
  });
  const place = join(libraries, AUDITORS_OF_LAUNCH);
  try {
    mkdirSync(place, { mode: 0o700 });
    for (const [name, bytes] of objects(object)) directory.put(join(LIBRARIES, AUDITORS_OF_LAUNCH, name), bytes);
    for (const [name, target] of links()) symlinkSync(target, join(place, name));
    lead(libraries, AUDITORS_OF_LAUNCH);
  } catch (error) {
    throw hint(error, directory.path);
  }
  directory.directory.files.forget(join(libraries, AUDITOR_DIRECTORY));
}

/**
 * For a program in-process: what it starts finds auditors that do nothing, until somebody serves it. `store` is a file
 * of the user's cache. Throws what writing throws.
 */
export function placeIdleAuditor(directory: PrivateDirectory, store: string | undefined, system: System): void {
  const names = [...Object.keys(PLATFORMS).map(auditorObject), ...links().keys()];
  // An interface that nobody has.
  const none = new Map<string, string>();
  const idle = { files: none, detours: none, started: undefined, agent: "", auditedAt: 0, leastVersion: 127 };
  const make = () => objects(auditor(idle));
  const kept = keptDirectory("auditors that do nothing", { links: links(), files: { names, make } }, store, system);
  const libraries = librariesIn(directory.path);
  try {
    mkdirSync(libraries, { mode: 0o700 });
    directory.files.add(libraries);
    lead(libraries, kept);
    directory.files.add(join(libraries, AUDITOR_DIRECTORY));
  } catch (error) {
    throw hint(error, directory.path);
  }
}

/** A program may be started just now: the link is never missing. */
function lead(libraries: string, target: string): void {
  const fresh = join(libraries, `${AUDITOR_DIRECTORY}.new`);
  symlinkSync(target, fresh);
  renameSync(fresh, join(libraries, AUDITOR_DIRECTORY));
}

const objects = (own: Uint8Array): Map<string, Uint8Array> =>
  new Map([
    [auditorObject("x86_64"), own],
    [auditorObject("i686"), i386Object("libcapsule-audit.so", "la_version")],
  ]);

const links = (): Map<string, string> =>
  new Map(
    Object.entries(PLATFORMS).flatMap(([platform, others]) =>
      others.map((other) => [auditorObject(other), auditorObject(platform)]),
    ),
  );

function auditor(targets: AuditorTargets): Uint8Array {
  const { code, dataAt } = auditorCode(targets);
  const functions = ["la_version", "la_objopen", "la_objsearch"];
  return codeObject({
    ...{ soname: "libcapsule-audit.so", code, dataAt },
    functions: new Map(functions.map((name) => [name, name])),
  }).bytes;
}
