// What the program starts gets isolated libraries, too: shims on its library path, and a server in a process of its
// own, as for an attached program. They are made when the program starts something for the first time.

import { join } from "node:path";
import { LinkError } from "../../lib/link-error.ts";
import { SystemFault, unless } from "../../lib/unless.ts";
import { messageOf } from "../diagnostics/error-data.ts";
import { AUDITOR_DIRECTORY } from "../directories/library-path.ts";
import { MARK, OWNER, PrivateDirectory } from "../directories/private-directory.ts";
import { canBeAudited } from "../plan/glibc/auditing.ts";
import type { HostTree } from "../plan/host-tree.ts";
import { emptiedEnvironments } from "../plan/scripts.ts";
import { populate } from "../server/populate.ts";
import { ServingDirectory } from "../server/serving-directory.ts";
import { awaitIfLimited, ring, startServer } from "../server/start-server.ts";
import type { HostedContext } from "./server-context.ts";

export class Children {
  #isServed = false;

  constructor(readonly context: HostedContext) {}

  /**
   * Returns when what is started will be served: at once, except the first time. Returns the reason if it will not be,
   * once.
   */
  serve(): string | undefined {
    if (this.#isServed) return undefined;
    this.#isServed = true;
    let reason: string | undefined;
    unless(
      [LinkError, SystemFault],
      () => this.#begin(),
      (error) => {
        reason = messageOf(error);
        this.context.trace.log("request", () => `what is started is not served: ${reason}`);
      },
    );
    return reason;
  }

  #begin(): void {
    const { trace, state, linkage, libc, files } = this.context;
    if (!state.server) throw new Error("Cannot serve what is started: nobody is to");
    // The directory that the environment names: the run may have gone on in another.
    const directory = ServingDirectory.within(new PrivateDirectory(state.directory, files), libc.system);
    let server: number | undefined;
    try {
      // The server boots while the rest is done.
      server = startServer(libc, libc.system, directory, state.server, libc.pid, trace);
      const capsules = linkage.capsules.map((capsule) => {
        const isolated = capsule.isolated.filter((soname) => isServed(capsule, soname));
        return { ...capsule, isolated, promised: isolated };
      });
      const { processGlibc } = this.context;
      const { runtime } = linkage;
      const { path: program, arguments: list } = state.program;
      const isLinked = linkage.capsules.some(({ shims }) => shims.size > 0);
      const isAwaited = !isLinked && emptiedEnvironments(program, list).length === 0;
      const isAudited = canBeAudited(state.glibc);
      const older = isAudited ? this.context.processGlibcOfOlder : undefined;
      populate(
        directory,
        { runtime, capsules, processGlibc, older, isAudited },
        { pid: libc.pid, program, isAwaited },
        trace,
      );
      ring(libc, directory);
      awaitIfLimited(libc.system, directory, server);
      // They stay for what was started, even after this process has ended: the auditors, and what says whose all is.
      for (const name of [OWNER, MARK]) files.forget(join(directory.path, name));
      files.forget(join(directory.libraries, AUDITOR_DIRECTORY));
      trace.log("request", () => `what is started is served by process ${server}`);
    } catch (error) {
      if (server !== undefined) libc.system.kill(server);
      directory.clear();
      throw error;
    }
  }
}

/**
 * Whether what is started gets that library from the tree, or is told that it cannot. In-process, whether the tree has
 * it is found out only on request; meanwhile it may have gone.
 */
const isServed = ({ search, ownership, promised }: HostTree, soname: string): boolean =>
  (search.find(soname, undefined) !== undefined || promised.includes(soname) || search.isGone) &&
  !ownership.isShared(soname);
