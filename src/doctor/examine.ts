// Everything that a doctor checks, in the order in which a run would need it. Checks that an earlier finding makes
// impossible are skipped.

import { closeSync } from "node:fs";
import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { ElfError } from "../../lib/elf/error.ts";
import type { Library } from "../../lib/elf/library.ts";
import { LinkError } from "../../lib/link-error.ts";
import type { Libc } from "../../lib/process/libc.ts";
import { faultOfProc } from "../../lib/process/pid-namespace.ts";
import type { System } from "../../lib/process/system.ts";
import { Glibc } from "../../lib/tree/glibc.ts";
import { LibraryStore } from "../../lib/tree/library-store.ts";
import { unless, unlessRefused } from "../../lib/unless.ts";
import metadata from "../../package.json" with { type: "json" };
import { findBubblewrap } from "../attached/entry.ts";
import { wayTo } from "../attached/mount-namespace.ts";
import { ProgramError } from "../diagnostics/errors.ts";
import { Trace } from "../diagnostics/trace.ts";
import { isOwnCache, storeFile } from "../directories/own-cache.ts";
import { openedIn, realPath } from "../directories/temporary-place.ts";
import { cacheOf } from "../directories/user-cache.ts";
import { machineGlibc } from "../plan/glibc/choice.ts";
import { findProgram } from "../plan/program.ts";
import { TUNABLE } from "../plan/static-tls.ts";
import { chooseHosts, chooseTrees, searchesOf, type Trees } from "../plan/trees.ts";
import type { NamespaceChoice } from "../settings/choices.ts";
import type { Settings } from "../settings/settings.ts";
import { withVariables } from "../settings/variables.ts";
import { containerFinding } from "./container.ts";
import { cacheFinding, type DirectoryFacts, directoryFacts, temporaryFindings } from "./directories.ts";
import { displayFindings, knockWayland, knockX11 } from "./display.ts";
import { environmentFindings } from "./environment.ts";
import { type Finding, type Group, hindrance } from "./finding.ts";
import { glibcFinding, namespaceFinding, staticTlsFinding } from "./glibc.ts";
import { gpuFindings } from "./gpus.ts";
import { hostFindings } from "./host.ts";
import { machineFindings, type ProcessFacts } from "./machine.ts";
import type { MachineFiles } from "./machine-files.ts";
import { answers, askingMount, mountsIn } from "./network.ts";
import { programFindings } from "./program.ts";

/** What to examine. */
export interface Patient {
  /** Called only after the files are known to be accessible. */
  readonly settings: () => Settings;
  /** Directories that the user named, and the program, if it is a path. */
  readonly paths: readonly string[];
  readonly program: string | undefined;
  /** Called with the path of each library before it is read. */
  readonly reading: (path: string) => void;
}

interface Instruments {
  readonly libc: Libc;
  readonly system: System;
  readonly files: MachineFiles;
}

/** Throws UsageError. */
export function examine(patient: Patient, instruments: Instruments): Group[] {
  const { system, files } = instruments;
  const cache = cacheOf(process.env);
  const temporary = resolve(tmpdir());
  const machine = { title: "Machine", findings: machineFindings(files, processFacts(system)) };
  // The remaining checks look up processes, including this one, by number in /proc.
  if (faultOfProc() !== undefined) return [machine];
  const silent = silentPaths([...patient.paths, temporary, ...(cache === undefined ? [] : [cache])], files);
  // Accessing one of these paths would block forever.
  if (silent.length > 0) return [machine, { title: "Files", findings: silent }];
  const kept = [
    ...temporaryFindings(
      directoryFacts(temporary, false, system),
      unlessRefused(() => openedIn(realPath(temporary))),
    ),
    cacheFinding(cache === undefined ? undefined : factsOfCache(cache, system)),
  ];
  const store = new LibraryStore(storeFile(), patient.reading);
  const settings = patient.settings();
  const groups = withVariables(settings, () => [
    machine,
    { title: "Files", findings: kept },
    ...ofTrees(patient.program, settings, store, instruments),
    { title: "Display", findings: ofDisplay(instruments) },
  ]);
  store.save();
  return groups;
}

const ofDisplay = ({ system, files }: Instruments): Finding[] =>
  displayFindings({
    variables: process.env,
    knockX11: knockX11(system, files),
    knockWayland: knockWayland(system),
  });

/** The checks that depend on the chosen trees. */
function ofTrees(
  program: string | undefined,
  settings: Settings,
  store: LibraryStore,
  instruments: Instruments,
): Group[] {
  const { system, files } = instruments;
  const trace = new Trace([]);
  const choose = () => {
    // The checks of the program report what is wrong with it.
    const path = program === undefined ? undefined : unless([ProgramError], () => findProgram(program));
    const trees = chooseTrees(settings.trees, machineGlibc, store, system, trace, path);
    return { trees, ...chooseHosts(trees, trace) };
  };
  const chosen = unlessUnsound(choose);
  if ("level" in chosen) return [{ title: "Host tree", findings: [chosen] }];
  const { trees, hosts, isIsolated } = chosen;
  const group = (title: string, look: () => Finding | readonly Finding[]): Group => ({
    title,
    findings: [unlessUnsound(look)].flat(),
  });
  const capsules = hosts.map((host) => {
    const found = unlessUnsound(() => hostFindings(host, isIsolated, settings, trees));
    return "level" in found ? { findings: [found], libraries: [] } : found;
  });
  const libraries = capsules.map((capsule) => capsule.libraries);
  const searches = hosts.map(({ search }) => search);
  const names = searches.map(({ tree }) => tree.name);
  const { env } = process;
  return [
    group("Container", () => containerFinding(files, names, env)),
    ...names.map((name, i) => ({ title: `Host tree ${name}`, findings: capsules[i]?.findings ?? [] })),
    group("glibc", () => ofGlibc(trees, settings.mountNamespace.value, libraries, instruments)),
    group("Graphics cards", () => gpuFindings(files, searches)),
    group("Environment", () => {
      const glibc = trees.glibc.version.split(".").map(Number);
      const isolated = new Set(hosts.flatMap(({ choices }) => [...choices.keys()].filter(isIsolated)));
      return environmentFindings({ variables: env, glibc, isolated });
    }),
    ...(program === undefined ? [] : [group("Program", () => programFindings(program, settings, trees, system))]),
  ];
}

/** An unusable tree, or something unreadable in it, becomes a finding. Bugs and usage errors are rethrown. */
function unlessUnsound<Result>(look: () => Result): Result | Finding {
  try {
    return look();
  } catch (error) {
    const isKnown = error instanceof LinkError || error instanceof ElfError;
    if (!isKnown && (error as NodeJS.ErrnoException).code === undefined) throw error;
    return hindrance("trees", (error as Error).message, "--host, --runtime and --glibc say which trees are used");
  }
}

const processFacts = (system: System): ProcessFacts => ({
  architecture: process.arch,
  bun: Bun.version,
  neededBun: metadata.engines.bun.replace(/^\D+/, ""),
  pidfdFault: pidfdFault(system),
  procFault: faultOfProc(),
});

/** Why processes cannot be waited for. Undefined if they can. */
function pidfdFault(system: System): string | undefined {
  let fault: string | undefined;
  const descriptor = unlessRefused(
    () => system.openProcess(process.pid),
    ({ code }) => {
      fault = code;
    },
  );
  if (descriptor !== undefined) closeSync(descriptor);
  return fault;
}

/** Paths on remote file systems that do not answer. */
function silentPaths(paths: readonly string[], files: MachineFiles): Finding[] {
  const mounts = mountsIn(files.text("/proc/self/mountinfo") ?? "");
  return paths.flatMap((path) => {
    const mount = askingMount(path, mounts, files);
    if (!mount || answers(mount.point)) return [];
    return hindrance(
      "network",
      `"${path}" is on a file system of another machine (${mount.type} on "${mount.point}") that does not answer`,
      "mount it anew, or name another directory",
    );
  });
}

function factsOfCache(cache: string, system: System): DirectoryFacts {
  const facts = directoryFacts(cache, true, system);
  return isOwnCache(cache) ? facts : { ...facts, fault: "it is somebody else's, or in somebody else's" };
}

function ofGlibc(
  trees: Trees,
  choice: NamespaceChoice,
  capsules: readonly (readonly Library[])[],
  { libc, files }: Instruments,
): Finding[] {
  const { glibc, machine } = trees;
  const others = new Map<string, string>();
  for (const search of new Set([machine, ...searchesOf(trees)])) {
    const other = Glibc.of(search);
    if (other && other.libc.path !== glibc.path) others.set(`in ${search.tree.name}`, other.name);
  }
  const way = wayTo(libc, new Map());
  return [
    glibcFinding(glibc, others),
    namespaceFinding(files, {
      isNeeded: !glibc.isNatural,
      choice,
      fault: typeof way === "string" ? way : undefined,
      hasBubblewrap: () => findBubblewrap(new Map()) !== undefined,
    }),
    staticTlsFinding(capsules, !glibc.glibc || glibc.glibc.loaderSays(TUNABLE)),
  ];
}
