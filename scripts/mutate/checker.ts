// TypeScript's parser and checker, in a process of its own. (Its API is called unstable; its synchronous half does not
// work in Bun 1.4.5.)

import { join } from "node:path";
import type { SourceFile } from "typescript/unstable/ast";
import { API, type Project } from "typescript/unstable/async";

/** A name that nobody uses any more is no reason to refuse a program. */
const UNUSED = [6133, 6192, 6196, 6198, 6199, 6205];

export class Checker implements AsyncDisposable {
  readonly #api: API;
  readonly #config: string;
  /** The file that had been changed last, and may not be so any more. */
  #last: string | undefined;

  constructor(readonly root: string) {
    this.#api = new API({ cwd: root });
    this.#config = join(root, "tsconfig.json");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#api.close();
  }

  async *parse(files: readonly string[]): AsyncGenerator<readonly [file: string, SourceFile]> {
    const { program } = await this.#project([]);
    for (const file of files) {
      const source = await program.getSourceFile(join(this.root, file));
      if (source === undefined) throw new Error(`Cannot parse ${file}: tsconfig.json does not include it`);
      yield [file, source];
    }
  }

  /** Whether the file, which has been changed, has errors of types. */
  async refuses(file: string): Promise<boolean> {
    const { program } = await this.#project([this.#last ?? file, file]);
    this.#last = file;
    const errors = await program.getSemanticDiagnostics(join(this.root, file));
    return errors.some(({ code }) => !UNUSED.includes(code));
  }

  async #project(changed: readonly string[]): Promise<Project> {
    const fileChanges = { changed: changed.map((file) => join(this.root, file)) };
    const snapshot = await this.#api.updateSnapshot({ openProjects: [this.#config], fileChanges });
    const project = snapshot.getProject(this.#config);
    if (project === undefined) throw new Error(`Cannot open ${this.#config}`);
    return project;
  }
}
