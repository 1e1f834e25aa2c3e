// A directory that holds a system's files as `/` would: an unpacked image, a container's root, /run/host, or / itself.
// Absolute paths and absolute links in it start at its root, and nothing escapes it.

import { lstatSync, readlinkSync, realpathSync } from "node:fs";
import { LinkError } from "../link-error.ts";

/** The kernel's limit: more links than this in one path are a loop. */
const LINK_LIMIT = 40;

type Entry = "missing" | "plain" | { readonly link: string };

export class Tree {
  /** The root as a path on this machine, without symbolic links or a trailing slash ("" for /). */
  readonly root: string;
  readonly #entries = new Map<string, Entry>();
  readonly #resolved = new Map<string, string | undefined>();

  /** With `isResolved`, `directory` is already a tree's root. Throws what realpath(3) throws. */
  constructor(directory: string, isResolved = false) {
    const root = isResolved ? directory : realpathSync(directory);
    this.root = root === "/" ? "" : root;
  }

  /** The tree's name in messages. */
  get name(): string {
    return this.root || "/";
  }

  /** Forgets all results: missing files may exist by now. */
  refresh(): void {
    this.#entries.clear();
    this.#resolved.clear();
  }

  /**
   * Resolves a path in the tree to a path on this machine, following links. Undefined if there is no such file. Throws
   * LinkError for links that loop or climb out.
   */
  resolve(path: string): string | undefined {
    return this.#resolved.getOrInsertComputed(path, () => this.#walk(path));
  }

  /** Like resolve, but does not follow a link at the end of the path. */
  resolveLink(path: string): string | undefined {
    const end = path.replace(/\/+$/, "").lastIndexOf("/") + 1;
    const directory = this.resolve(path.slice(0, end));
    const found = directory && `${directory}/${path.slice(end)}`;
    return found && this.#entry(found) !== "missing" ? found : undefined;
  }

  /** Is this path of the machine inside the tree? */
  holds(path: string): boolean {
    return path === this.root || path.startsWith(`${this.root}/`);
  }

  /** Converts a path on this machine that is inside the tree to a path in the tree. */
  inside(path: string): string {
    return path.slice(this.root.length) || "/";
  }

  #walk(path: string): string | undefined {
    const rest = path.split("/").reverse();
    const done: string[] = [];
    let links = 0;
    let depthOfLink = 0; // how many of `rest` came from links
    while (rest.length > 0) {
      const name = rest.pop() ?? "";
      const fromLink = depthOfLink > 0;
      if (fromLink) depthOfLink--;
      if (name === "" || name === ".") continue;
      if (name === "..") {
        if (done.length === 0 && fromLink && this.root !== "")
          throw this.#cannotFollow(path, "a symbolic link on its way climbs out of the tree");
        done.pop();
        continue;
      }
      const here = `${this.root}/${[...done, name].join("/")}`;
      const entry = this.#entry(here);
      if (entry === "missing") return undefined;
      if (entry === "plain") {
        done.push(name);
        continue;
      }
      if (++links > LINK_LIMIT) throw this.#cannotFollow(path, `the symbolic link "${here}" is part of a loop`);
      if (entry.link.startsWith("/")) done.length = 0;
      const parts = entry.link.split("/").reverse();
      rest.push(...parts);
      depthOfLink += parts.length;
    }
    return `${this.root}/${done.join("/")}`;
  }

  #entry(path: string): Entry {
    return this.#entries.getOrInsertComputed(path, readEntry);
  }

  #cannotFollow(path: string, why: string): LinkError {
    return new LinkError(`Cannot follow "${path}" in "${this.name}": ${why}`, { object: path });
  }
}

function readEntry(path: string): Entry {
  try {
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (!stat) return "missing";
    return stat.isSymbolicLink() ? { link: readlinkSync(path) } : "plain";
  } catch (error) {
    // A file in place of a directory, or an impossible name: one that is too long, or has a NUL.
    const { code = "" } = error as NodeJS.ErrnoException;
    if (["ENOTDIR", "ENAMETOOLONG", "ERR_INVALID_ARG_VALUE"].includes(code)) return "missing";
    throw error;
  }
}
