// The directory that an attached program, what it starts, and their server share. It exists for as long as one of them
// may ask. What an in-process program starts finds it in that program's private directory.
//
//   lib/         what comes first on their LD_LIBRARY_PATH: shims, the agent, the auditor; and what is needed to ask,
//                since a sandbox may show nothing else of it: lib/channel, the pages that they share, lib/door
//                (door.ts), and by process the mirrors that have been made for it
//   launch.json  what the server needs to know
//   owner        whose it is; see PrivateDirectory

import { readdirSync, rmdirSync, rmSync, symlinkSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { LinkError } from "../../lib/link-error.ts";
import type { Address } from "../../lib/memory/numbers.ts";
import { isThere, makeDirectory, writeWhole } from "../../lib/own-files.ts";
import type { Libc } from "../../lib/process/libc.ts";
import { PutOffSignals } from "../../lib/process/put-off-signals.ts";
import type { System } from "../../lib/process/system.ts";
import { unlessRefused } from "../../lib/unless.ts";
import {
  AUDITOR_DIRECTORY,
  canBeOnPath,
  IDLE_AUDITORS,
  LIBRARIES,
  leadToAuditors,
  librariesIn,
} from "../directories/library-path.ts";
import { hint, hinting, MARK, PrivateDirectory } from "../directories/private-directory.ts";
import { makeChannelFile } from "./channel-file.ts";
import { LAUNCH_FILE, type LaunchFile } from "./launch-file.ts";

export class ServingDirectory {
  private constructor(
    readonly directory: PrivateDirectory,
    readonly system: System,
    /** The channel, as mapped in this process. */
    readonly channel: Address,
  ) {}

  get path(): string {
    return this.directory.path;
  }

  get libraries(): string {
    return librariesIn(this.path);
  }

  /** Throws what making it throws, naming the directory. */
  static make(libc: Libc, system: System): ServingDirectory {
    const directory = PrivateDirectory.make(libc, new PutOffSignals(libc));
    try {
      directory.write(MARK, new Uint8Array(0));
      return ServingDirectory.within(directory, system);
    } catch (error) {
      directory.remove();
      throw error;
    }
  }

  /** In a directory that also has another purpose. Throws as `make` does, and leaves nothing behind then. */
  static within(directory: PrivateDirectory, system: System): ServingDirectory {
    const { path } = directory;
    if (!canBeOnPath(path))
      throw new LinkError(
        `Cannot use "${path}": LD_LIBRARY_PATH has no place for a name with a colon, a semicolon or a dollar sign (TMPDIR says which directory to use)`,
        { object: path },
      );
    try {
      // Not anew if a signal that ends the process has had it removed meanwhile.
      makeDirectory(librariesIn(path));
      return new ServingDirectory(directory, system, makeChannelFile(system, path));
    } catch (error) {
      clear(path);
      throw hint(error, path);
    }
  }

  /** Writes a file that stays as long as the directory, and returns its path. Throws what writing throws, naming the directory. */
  put(name: string, bytes: Uint8Array, mode?: number): string {
    return hinting(this.path, () => writeWhole(join(this.path, name), bytes, { mode }));
  }

  putLibrary(name: string, bytes: Uint8Array): void {
    this.put(join(LIBRARIES, name), bytes);
  }

  /** Makes links, name → target, among the libraries. Throws as put() does. */
  linkLibraries(links: ReadonlyMap<string, string>): void {
    hinting(this.path, () => {
      for (const [link, target] of links) symlinkSync(target, join(this.libraries, link));
    });
  }

  tell(file: LaunchFile): void {
    this.put(LAUNCH_FILE, Buffer.from(JSON.stringify(file)));
  }

  /** No server will answer: removes what was for one. The rest is this process's own. */
  clear(): void {
    clear(this.path);
    unlessRefused(() => this.directory.ownedBy("self"));
  }
}

/** Removes what it can: the program may have dropped its rights. */
function clear(path: string): void {
  unlessRefused(() => unlinkSync(join(path, LAUNCH_FILE)));
  const libraries = librariesIn(path);
  // These are the process's own.
  const kept: readonly string[] = isThere(join(libraries, IDLE_AUDITORS)) ? [AUDITOR_DIRECTORY, IDLE_AUDITORS] : [];
  if (kept.length > 0) unlessRefused(() => leadToAuditors(libraries, IDLE_AUDITORS));
  const names = unlessRefused(() => readdirSync(libraries)) ?? [];
  for (const name of names.filter((name) => !kept.includes(name)))
    unlessRefused(() => rmSync(join(libraries, name), { recursive: true, force: true }));
  if (kept.length === 0) unlessRefused(() => rmdirSync(libraries));
}
