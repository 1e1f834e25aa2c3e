// The whole run, pass by pass. Before the first fence it only reads files; after the last, the program has the process.

import { join } from "node:path";
import type { Libc } from "../../lib/process/libc.ts";
import { PutOffSignals } from "../../lib/process/put-off-signals.ts";
import { LibraryStore } from "../../lib/tree/library-store.ts";
import { RunRecord } from "../agent/record.ts";
import { ownScreen, Progress } from "../diagnostics/progress.ts";
import type { Trace } from "../diagnostics/trace.ts";
import { storeFile } from "../directories/own-cache.ts";
import { MARK, PrivateDirectory } from "../directories/private-directory.ts";
import { releaseDescriptors } from "../handover/descriptors.ts";
import { catchSignals, quietOtherThreads } from "../handover/signals.ts";
import { allocatorOf } from "../passes/allocator.ts";
import { expose, exposeAs } from "../passes/expose.ts";
import { findEnding } from "../passes/finish.ts";
import { interceptHandles } from "../passes/intercept.ts";
import { openClosure, share } from "../passes/open.ts";
import { makeNamespace, repairGlobal } from "../passes/share.ts";
import { canBeAudited } from "../plan/glibc/auditing.ts";
import { type ExecOptions, keepCaches, makePlan } from "../plan/plan.ts";
import { findProgram } from "../plan/program.ts";
import { emptiedEnvironments } from "../plan/scripts.ts";
import { chooseTrees } from "../plan/trees.ts";
import { ensureGlibc, ensureSettings, leaveOuterAuditor, ownGlibc } from "../reexec/chosen-glibc.ts";
import { ownScript } from "../reexec/own-code.ts";
import { ownCommand } from "../reexec/own-command.ts";
import { placeIdleAuditor } from "../server/auditor.ts";
import { serverCommand } from "../server/start-server.ts";
import { detachBun } from "./detach-bun.ts";
import { displace } from "./displace.ts";
import { interpose } from "./interpose.ts";
import { enter, loadProgram } from "./load-program.ts";
import { hasShimsForOthers, prepareProcess } from "./prepare.ts";
import { beginRun, type Run } from "./run.ts";
import { openScope, settleScope } from "./scope.ts";
import { ServerHandle } from "./serve.ts";
import { ensureStaticTls, explainStaticTls } from "./static-tls.ts";

/**
 * Runs a program in this process. `inherited` are the descriptors passed on by its parent. Throws as makePlan does;
 * later errors go to `fail`, which ends the process at once, because Bun can no longer exit cleanly.
 */
export function runInProcess(
  libc: Libc,
  options: ExecOptions,
  inherited: ReadonlySet<number>,
  trace: Trace,
  fail: (error: unknown) => never,
): never {
  trace.mark("start of Bun and of this command");

  // The command as given, in case it has to be started over.
  const command = ownCommand(libc, inherited);

  ensureSettings(libc, command, trace);
  leaveOuterAuditor(libc, command, trace);

  // Choose the trees and the glibc. Start over if this process has another glibc.
  using progress = new Progress(() => (trace.isOn ? undefined : ownScreen(libc.system, process.env)));
  const store = new LibraryStore(storeFile(), progress.reading);
  const program = findProgram(options.program);
  const trees = chooseTrees(options, (machine) => ownGlibc(libc, machine), store, libc.system, trace, program);
  progress.erase();
  ensureGlibc(libc, command, options, trees, trace);

  // The server for the agents boots in a Worker meanwhile.
  const server = new ServerHandle(libc, ownScript("hosted/server"), serverCommand(command));

  // Decide what comes from where; whatever is missing or unsound is reported now.
  const plan = makePlan(options, trees, trace);
  progress.erase();
  // Determined once, kept for the next run.
  const unsaved = store.save();
  if (unsaved !== undefined) trace.log("plan", () => `the store of libraries was not written: ${unsaved}`);
  trace.mark("plan");

  for (const line of emptiedEnvironments(plan.executed, plan.arguments)) trace.warn(line);
  keepCaches(plan.capsules);

  // ---- From here on the process is changed. Until the program starts, a failure removes the private directory.
  const directory = PrivateDirectory.make(libc, new PutOffSignals(libc));
  const run = beginRun(libc, plan, directory, server.addresses, trace);
  trace.mark("begin");
  const giveUp = (error: unknown): never => {
    const reason = explainStaticTls(run, command, error);
    run.directory.remove();
    return fail(reason);
  };
  try {
    // Start over if glibc has reserved too little for the libraries' thread-local data.
    ensureStaticTls(run, command);
    if (hasShimsForOthers(run) && canBeAudited(plan.glibc)) placeIdleAuditor(run.directory);
    return link(run, server, inherited, giveUp);
  } catch (error) {
    return giveUp(error);
  }
}

function link(run: Run, server: ServerHandle, inherited: ReadonlySet<number>, fail: (error: unknown) => never): never {
  const { libc, plan, trace, base, capsules, directory } = run;

  // What the program's side calls at run time: a generated object in the global scope, where a preloaded one would be.
  const record = new RunRecord(run, plan.capsules.length);
  const interposer = libc.run(interpose(run, record, run.base.bun.linkMap));

  // From here on, a signal that ends the process leaves no files behind.
  const onSignal = interposer.addressOf("on signal");
  const caught = [...(directory.signals?.end(onSignal) ?? []), ...catchSignals(libc, "sent", onSignal)];

  // For lookups by the handle of an isolated library, too, it precedes libc.
  run.scopes?.family.set(MARK, interposer.object.linkMap);

  // Bun leaves that scope (its Worker must have found what it needs by then), and returns libc's objects to libc.
  server.awaitBoot();
  detachBun(run, interposer.object);
  // Lookups in libc itself, by its handle or its tables, find them, too.
  libc.run(interceptHandles(run, interposer.loading));
  trace.mark("detachBun");

  // Arguments, names, signals: constructors look at them.
  const auxiliary = prepareProcess(run, record, caught);
  // Those, too, that Bun had.
  catchSignals(libc, "sent", onSignal);
  trace.mark("prepare");

  // The allocator that all sides use: a preloaded one, or libc's.
  const allocator = libc.run(allocatorOf([...base.preloaded, ...base.dependencies], base.bun.linkMap));

  // One namespace per host tree: mirrors of the shared set, and RTLD_GLOBAL, which glibc lacks there.
  for (const [index, capsulePlan] of plan.capsules.entries()) {
    const capsule = libc.run(makeNamespace(run, capsulePlan, index + 1, interposer.both, allocator));
    for (const soname of capsulePlan.closure.elsewhere.keys())
      if (!capsulePlan.ownership.others.has(soname)) libc.run(share(run, capsule, soname));
    repairGlobal(run, base.namespaces, base.bun.linkMap, base.scope, capsule);
    record.setIterator(index, capsule.iterateHere);
    capsules.push(capsule);
  }
  trace.mark("namespaces");

  // ---- Constructors run from here on, and may send requests: the server answers before the first one.
  const imagePath = join(directory.path, "program");
  // The server may have to share our descriptors (if unshare(2) is denied): what it opens must not be taken for Bun's.
  releaseDescriptors(libc, inherited, trace);
  server.start(run);
  catchSignals(libc, "faults", onSignal);
  const front = [interposer.object];
  record.setEnding(findEnding(run, base.namespaces, capsules[0], { front, hidden: base.bun }));
  libc.atExit(interposer.addressOf("end"));
  const quiet = { handler: interposer.addressOf("quiet"), restorer: interposer.addressOf("restorer") };
  const awaitQuiet = quietOtherThreads(libc, quiet, record.addressOf("quieted"));
  trace.mark("server");

  // The host's libraries, all together, so that glibc does not search by itself; then their shims.
  for (const [index, capsule] of capsules.entries()) {
    const capsulePlan = plan.capsules[index];
    if (!capsulePlan) continue;
    const { closure, lentStatically: lent } = capsulePlan;
    libc.run(openClosure(run, capsule, closure, { lent, intern: run.intern, isGlobal: true }));
    trace.mark("open");
    for (const soname of capsulePlan.atStart) libc.run(expose(run, capsule, soname));
    for (const { linkMap } of capsule.shims.values()) run.scopes?.lent.add(linkMap);
    for (const [alias, soname] of plan.aliases) libc.run(exposeAs(run, capsule, alias, soname));
    trace.mark("expose");
  }

  // A preloaded library may have loaded the runtime's copies of isolated libraries. They are displaced here.
  const displaced = displace(run);
  openScope(run, interposer.object, displaced);

  // glibc loads the program and its own libraries. Before their constructors: COPY relocations, and old addresses.
  const program = loadProgram(run, imagePath, interposer, displaced, fail);
  trace.mark("program");

  // ---- The search order is fixed: the program first, as if the kernel had started it.
  settleScope(run, program.object, interposer.object, displaced);
  front.push(program.object, ...base.preloaded);
  record.setEnding(findEnding(run, base.namespaces, capsules[0], { front, hidden: base.bun }));
  record.fields.environ = libc.symbols.mustFind("environ");
  record.fields.program = program.object.linkMap;
  auxiliary.setProgram(program.object, program.entry);
  server.update(run);
  awaitQuiet();
  trace.mark("settle");
  trace.log("time", () => `mprotect ${libc.protections} times, ${run.counts.written} slots written`);

  // main, and exit.
  return enter(program.entry);
}
