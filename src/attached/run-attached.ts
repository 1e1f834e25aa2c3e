// Runs a program in a process of its own: this one, in which the kernel replaces Bun by the program. So its pid,
// parent, terminal, signals and exit are those of any program. What remains of us is the server, in a process that was
// started beforehand; the program finds it through its library path.

import { realpathSync } from "node:fs";
import type { Libc } from "../../lib/process/libc.ts";
import { LibraryStore } from "../../lib/tree/library-store.ts";
import { ERRNO } from "../../lib/x86-64/linux.ts";
import { EXIT, ProgramError } from "../diagnostics/errors.ts";
import { ownScreen, Progress } from "../diagnostics/progress.ts";
import type { Trace } from "../diagnostics/trace.ts";
import { storeFile } from "../directories/own-cache.ts";
import { withoutRunner } from "../handover/environment.ts";
import { programEnvironment, shownInSandboxes } from "../handover/program-environment.ts";
import { resetSignals } from "../handover/signals.ts";
import { copiesInFront } from "../plan/copies-in-front.ts";
import { faultOfAuditors } from "../plan/glibc/auditing.ts";
import { machineGlibc, versionOf } from "../plan/glibc/choice.ts";
import { processGlibcOfOlder } from "../plan/glibc/process-glibc.ts";
import { type ExecOptions, keepCaches, makeAttachedPlan } from "../plan/plan.ts";
import { checkAttachable, isShells } from "../plan/program.ts";
import { emptiedEnvironments } from "../plan/scripts.ts";
import { roomForHosts } from "../plan/static-tls.ts";
import { chooseTrees } from "../plan/trees.ts";
import { KeptDirectories } from "../reexec/kept-directories.ts";
import { ownCommand } from "../reexec/own-command.ts";
import { withoutReexec } from "../reexec/reexec.ts";
import { runtimePath } from "../reexec/runtime-path.ts";
import { populate } from "../server/populate.ts";
import { ServingDirectory } from "../server/serving-directory.ts";
import { awaitIfLimited, ring, serverCommand, startServer } from "../server/start-server.ts";
import { type Entry, entryOf } from "./entry.ts";
import { tunablesFor } from "./tunables-for.ts";

/**
 * Throws as makePlan does, and ProgramError if the kernel refuses the program. `executed` is the path for execve(2);
 * `inherited` are the descriptors that it finds open.
 */
export function runAttached(
  libc: Libc,
  options: ExecOptions,
  executed: string,
  inherited: ReadonlySet<number>,
  trace: Trace,
): never {
  const command = ownCommand(libc, inherited);
  const { system } = libc;
  checkAttachable(realpathSync(executed), process.env.PATH ?? "", system);
  // Our files are not for others, whatever umask the program may want.
  const umask = process.umask(0o077);
  const directory = ServingDirectory.make(libc, system);
  trace.mark("serving directory");
  let server: number | undefined;
  try {
    // The server boots while the rest is done.
    server = startServer(libc, system, directory, serverCommand(command), process.pid, trace);
    // If this process dies from here on, the server sees that, and removes the directory.
    directory.directory.signals?.end();
    trace.mark("start of the server");
    const { entry, behind, tunables, isAudited } = prepare(libc, directory, options, executed, trace);
    trace.mark("shims");
    ring(libc, directory);
    awaitIfLimited(system, directory, server);
    process.umask(umask);
    passOn(libc, inherited, trace);
    const changes = new Map([...withoutRunner(process.env), ...withoutReexec(process.env), ...tunables]);
    const variables = programEnvironment(command.environment(), changes, {
      libraries: directory.libraries,
      ...{ behind, isAudited },
    });
    // The end of our own command line; as bytes, since they need not be UTF-8.
    const list = command.arguments().slice(-options.arguments.length - 1);
    trace.mark("environment");
    // As execvp(3): a script that names no interpreter.
    const [file, words] = isShells(executed)
      ? [SHELL, [Buffer.from(SHELL), Buffer.from(executed), ...list.slice(1)]]
      : [executed, list];
    trace.emit(() => ({ event: "start", pid: process.pid, program: executed }));
    const errno = entry.execute(file, words, variables, refusalsOf(executed));
    throw refusal(executed, errno);
  } catch (error) {
    if (server !== undefined) system.kill(server);
    directory.directory.remove();
    throw error;
  }
}

interface Prepared {
  readonly entry: Entry;
  /** Directories after all others on the library path. */
  readonly behind: readonly string[];
  /** The variable for its ld.so, if anything has to be set. */
  readonly tunables: ReadonlyMap<string, string>;
  readonly isAudited: boolean;
}

/** Decides what comes from where, and prepares all that the program will find. */
function prepare(
  libc: Libc,
  directory: ServingDirectory,
  options: ExecOptions,
  executed: string,
  trace: Trace,
): Prepared {
  const { system } = directory;
  using progress = new Progress(() => (trace.isOn ? undefined : ownScreen(system, process.env)));
  const store = new LibraryStore(storeFile(), progress.reading);
  const trees = chooseTrees(options, machineGlibc, store, system, trace, realpathSync(executed));
  const fault = faultOfAuditors(process.env, versionOf(trees.glibc));
  if (fault !== undefined)
    throw new ProgramError(
      `Cannot run "${executed}": ${fault}, and ${trees.glibc.version} was chosen (--glibc says whose is used)`,
      EXIT.notRunnable,
    );
  const plan = makeAttachedPlan(options, executed, trees, trace);
  trace.mark("plan");
  progress.erase();
  const emptied = emptiedEnvironments(executed, options.arguments);
  for (const line of [...copiesInFront(plan, realpathSync(executed)), ...emptied]) trace.warn(line);
  const isolated = plan.capsules.flatMap(({ libraries }) => libraries);
  const wanted = { ...plan, isolated, version: trees.glibc.version };
  const entry = entryOf(libc, directory, wanted, trees, options.mountNamespace, trace);
  trace.mark("entry");
  keepCaches(plan.capsules);
  const first = { pid: process.pid, program: realpathSync(executed), isAwaited: emptied.length === 0 };
  const { processGlibc, mounts } = entry;
  const older = plan.isAudited ? processGlibcOfOlder(plan.processGlibc, trees.machine) : undefined;
  if (older?.starter && !processGlibc.starter)
    trace.log(
      "plan",
      () =>
        `an older glibc than ${trees.glibc.version} that a process brings: it is started over on that, by the name of "${older.starter?.loader}"`,
    );
  const staticTls = roomForHosts(plan.capsules.map(({ libraries }) => libraries));
  const kept = new KeptDirectories(store.file, system);
  populate(directory, { ...plan, processGlibc, older, mounts, staticTls, kept }, first, trace);
  const tunables = tunablesFor(plan, trees.glibc, trace);
  const roots = [...plan.capsules, trees.glibc.glibc].flatMap((one) => one?.search.tree.root ?? []);
  const shown = shownInSandboxes([...roots, ...(entry.processGlibc.starter ? [kept.place] : [])]);
  const behind = [...runtimePath(trees, options, kept, trace), ...shown];
  return { entry, behind, tunables, isAudited: plan.isAudited };
}

/** The program gets what its parent passed on: an exec closes Bun's own descriptors and resets its signal handlers. */
function passOn(libc: Libc, inherited: ReadonlySet<number>, trace: Trace): void {
  for (const descriptor of inherited) libc.exec.passOn(descriptor);
  trace.log("program", () => `descriptors passed on: ${[...inherited].join(" ") || "only the first three"}`);
  resetSignals(libc);
  const limit = libc.descriptors.lowerLimit();
  if (limit !== undefined) trace.log("program", () => `limit of open files: ${limit}, as its parent's`);
}

function refusal(executed: string, errno: number): ProgramError {
  const why = REASONS[errno] ?? `the kernel refuses it (errno ${errno})`;
  const exitCode = errno === ERRNO.ENOENT ? EXIT.notFound : EXIT.notRunnable;
  return new ProgramError(`Cannot run "${executed}": ${why}`, exitCode);
}

/** What a generated program says instead of this one when nothing can be thrown any more. */
const refusalsOf = (executed: string): [errno: number, exitCode: number, text: string][] =>
  [...Object.keys(REASONS).map(Number), 0].map((errno) => {
    const { exitCode, message } = refusal(executed, errno);
    return [errno, exitCode, `capsule: ${errno === 0 ? OTHERWISE(executed) : message}\n`];
  });

const OTHERWISE = (executed: string) => `Cannot run "${executed}": the kernel refuses it`;

const SHELL = "/bin/sh";

const REASONS: Readonly<Record<number, string>> = {
  [ERRNO.ENOENT]: "it, or its interpreter, is not there",
  [ERRNO.EACCES]: "permission denied",
  [ERRNO.EPERM]: "the kernel does not permit it",
  [ERRNO.E2BIG]: "its arguments and environment are too long",
  [ERRNO.ENOEXEC]: "the kernel does not know how to run it",
  [ERRNO.ENOMEM]: "there is not enough memory",
  [ERRNO.ETXTBSY]: "somebody is writing to it",
  [ERRNO.ELOOP]: "too many scripts are each other's interpreters",
  [ERRNO.ELIBBAD]: "its interpreter is unsound",
};
