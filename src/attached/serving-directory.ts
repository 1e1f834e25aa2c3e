// The directory that an attached program, what it starts, and their server have in
// common. It is there for as long as one of them may ask.
//
//   lib/         what comes first on their LD_LIBRARY_PATH
//   channel      the pages that they share
//   launch.json  what the server has to know
//   owner        whose it is; see PrivateDirectory

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { LinkError } from "../../lib/loader/error.ts";
import type { Libc } from "../../lib/loader/libc.ts";
import type { Address } from "../../lib/memory/numbers.ts";
import type { System } from "../../lib/process/system.ts";
import { hint, MARK, PrivateDirectory } from "../private-directory.ts";
import { makeChannelFile } from "./channel-file.ts";
import { LAUNCH_FILE, type LaunchFile } from "./launch-file.ts";

export const LIBRARIES = "lib";

export class ServingDirectory {
  private constructor(
    readonly directory: PrivateDirectory,
    /** The channel, as this process has it. */
    readonly channel: Address,
  ) {}

  get path(): string {
    return this.directory.path;
  }

  /** What comes first on LD_LIBRARY_PATH. */
  get libraries(): string {
    return join(this.path, LIBRARIES);
  }

  /** Throws what making it throws, with its name. */
  static make(libc: Libc, system: System): ServingDirectory {
    const directory = PrivateDirectory.make(libc);
    try {
      const { path } = directory;
      if (/[:;]/.test(path))
        throw new LinkError(
          `Cannot use "${path}": LD_LIBRARY_PATH has no place for a name with a colon or a semicolon (TMPDIR says which directory to use)`,
          { object: path },
        );
      directory.write(MARK, new Uint8Array(0));
      mkdirSync(join(path, LIBRARIES), 0o700);
      return new ServingDirectory(directory, makeChannelFile(system, path));
    } catch (error) {
      directory.remove();
      throw hint(error, directory.path);
    }
  }

  tell(file: LaunchFile): void {
    this.directory.write(LAUNCH_FILE, Buffer.from(JSON.stringify(file)));
  }
}
