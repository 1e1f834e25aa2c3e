// The auditor of a launch, where LD_AUDIT leads: an object for each platform name that ld.so may insert there. The one
// for 32-bit programs does nothing, but an ld.so that found none would complain.
//
//   libcapsule-audit-x86_64.so     also as haswell and xeon_phi
//   libcapsule-audit-i686.so       also as i586, i486 and i386
//
// An in-process program gets that variable before it is known whether it will start anything. Until then it leads to
// two objects that do nothing.

import { readdirSync, symlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { codeObject } from "../../lib/elf/write/code-object.ts";
import { i386Object } from "../../lib/elf/write/i386-object.ts";
import { makeDirectories, writeWhole } from "../../lib/own-files.ts";
import { type AuditorTargets, auditorCode, idleAuditorCode } from "../agent/code/auditor.ts";
import type { ChosenFile, OlderTargets } from "../agent/code/older-libc.ts";
import {
  AUDITOR_DIRECTORY,
  CHANNEL_FILE,
  IDLE_AUDITORS,
  LAUNCH_AUDITORS,
  leadToAuditors,
  librariesIn,
} from "../directories/library-path.ts";
import { hinting, type PrivateDirectory } from "../directories/private-directory.ts";
import { auditorObject, INTERFACE } from "../plan/glibc/auditing.ts";
import { DOOR } from "./door.ts";
import { EXE_SHIM } from "./reexec-stubs.ts";
import type { ServingDirectory } from "./serving-directory.ts";
import { AGENT, KEPT } from "./shims.ts";

/** Files among a launch's libraries that are not libraries. */
const OTHERS: ReadonlySet<string> = new Set([
  ...[AUDITOR_DIRECTORY, IDLE_AUDITORS, LAUNCH_AUDITORS, KEPT],
  ...[CHANNEL_FILE, DOOR].map((path) => basename(path)),
]);
const SONAME = "libcapsule-audit.so";
/** Platform → platforms that get the same object. */
const PLATFORMS = { x86_64: ["haswell", "xeon_phi"], i686: ["i586", "i486", "i386"] } as const;

/** How processes get to run on another glibc. */
export interface ReexecFiles {
  /**
   * Names, among the launch's libraries, by which any process is started over, each with the file that it gets then.
   */
  readonly reexecStubs?: ReadonlyMap<string, string>;
  /** The files that a process gets once it has been started over because its libc is older. */
  readonly family?: ReadonlyMap<string, string>;
  readonly older?: OlderTargets;
  /** The files that it is started over with. */
  readonly chosen?: readonly ChosenFile[];
}

/**
 * The auditor of a launch. ld.so finds `names` among its `libraries`. `auditedAt` is where the agent is told of the
 * auditor, `staticTls` how much static thread-local data the hosts' libraries may need.
 */
export function launchAuditor(
  libraries: string,
  names: readonly string[],
  { reexecStubs = new Map(), family = new Map(), older, chosen = [] }: ReexecFiles,
  auditedAt: number,
  staticTls: number,
): Uint8Array {
  const paths = (list: readonly string[]) => new Map(list.map((name) => [name, join(libraries, name)]));
  return auditor({
    files: new Map([...paths(names), ...reexecStubs]),
    reexecStubs: paths(names.filter((name) => reexecStubs.has(name))),
    started: chosen.length > 0 ? EXE_SHIM : undefined,
    ...{ family, older, chosen },
    agent: join(libraries, AGENT),
    auditedAt,
    staticTls,
    leastVersion: INTERFACE.version,
  });
}

/** What an auditor is to find among a launch's libraries. */
export const auditedNames = ({ libraries }: ServingDirectory): string[] =>
  readdirSync(libraries)
    .filter((name) => !OTHERS.has(name))
    .sort();

/** Has ld.so ask that auditor. Throws what writing throws. */
export function placeAuditor({ path }: ServingDirectory, auditor: Uint8Array): void {
  place(path, LAUNCH_AUDITORS, objects(auditor));
}

/**
 * For an in-process program: what it starts finds auditors that do nothing until there is a server for it. Throws what
 * writing throws.
 */
export function placeIdleAuditor({ path, files }: PrivateDirectory): void {
  const libraries = librariesIn(path);
  const directory = join(libraries, IDLE_AUDITORS);
  const made = objects(idleAuditor());
  for (const one of [libraries, join(libraries, AUDITOR_DIRECTORY), directory]) files.add(one);
  for (const name of [...made.keys(), ...links().keys()]) files.add(join(directory, name));
  place(path, IDLE_AUDITORS, made);
}

function place(path: string, name: string, auditors: ReadonlyMap<string, Uint8Array>): void {
  const libraries = librariesIn(path);
  const directory = join(libraries, name);
  hinting(path, () => {
    makeDirectories(directory);
    for (const [file, bytes] of auditors) writeWhole(join(directory, file), bytes);
    for (const [link, target] of links()) symlinkSync(target, join(directory, link));
    leadToAuditors(libraries, name);
  });
}

const objects = (own: Uint8Array): Map<string, Uint8Array> =>
  new Map([
    [auditorObject("x86_64"), own],
    [auditorObject("i686"), i386Object(SONAME, "la_version")],
  ]);

const links = (): Map<string, string> =>
  new Map(
    Object.entries(PLATFORMS).flatMap(([platform, others]) =>
      others.map((other) => [auditorObject(other), auditorObject(platform)]),
    ),
  );

function auditor(targets: AuditorTargets): Uint8Array {
  const names = ["la_version", "la_objopen", "la_activity", "la_objsearch"];
  const functions = new Map(names.map((name) => [name, name]));
  return codeObject({ ...auditorCode(targets), soname: SONAME, functions, init: "note environment" }).bytes;
}

function idleAuditor(): Uint8Array {
  const functions = new Map([["la_version", "la_version"]]);
  return codeObject({ ...idleAuditorCode(), soname: SONAME, functions }).bytes;
}
