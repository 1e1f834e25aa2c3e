// What a run reports while it works: lines on standard error, by category.

import { writeSync } from "node:fs";
import type { CapsuleEvent, EventWriter } from "./events.ts";
import { printable, warn } from "./output.ts";

/**
 * A category of lines on standard error, chosen by `--trace` and by options of that name; `capsule exec --help`
 * describes them.
 */
export type Category = "plan" | "search" | "capsule" | "shim" | "redirect" | "program" | "request" | "time";

export const CATEGORIES: Readonly<Record<Category, string>> = {
  plan: "the program, the host trees, what is isolated and why",
  search: "where each library was found",
  capsule: "mirrors, namespaces and libraries that are opened",
  shim: "what the program sees of the host's libraries",
  redirect: "slots and objects that are overwritten",
  program: "how the program is loaded and started",
  request: "what the program and the host's libraries ask for at run time",
  time: "how long each pass takes, in milliseconds",
};

/** CAPSULE_DEBUG's words (libcapsule's), and the equivalent categories. */
export const DEBUG_WORDS: Readonly<Record<string, readonly Category[]>> = {
  path: ["plan"],
  search: ["search"],
  ldcache: ["search"],
  capsule: ["capsule", "shim", "program"],
  mprotect: ["redirect"],
  wrappers: ["request"],
  reloc: ["redirect"],
  dlfunc: ["request"],
  elf: ["plan"],
  all: Object.keys(CATEGORIES) as Category[],
};

export class Trace {
  readonly #on: ReadonlySet<string>;
  #last = 0; // performance.now() counts from the start of the process

  constructor(
    readonly categories: readonly Category[],
    readonly events?: EventWriter,
  ) {
    this.#on = new Set(categories);
  }

  /** Is anything traced, or are events written? */
  get isOn(): boolean {
    return this.categories.length > 0 || this.events !== undefined;
  }

  has(category: Category): boolean {
    return this.#on.has(category);
  }

  /** `text` is called only if the category is on. */
  log(category: Category, text: () => string): void {
    if (this.#on.has(category)) this.#write(category, text());
  }

  /** Writes an event; `event` is called only if events are on. */
  emit(event: () => CapsuleEvent): void {
    this.events?.write(event());
  }

  /** Tells the user something, whatever is traced. */
  warn(text: string): void {
    warn(text);
  }

  /** The end of a pass: prints the time since the previous one. */
  mark(pass: string): void {
    if (!this.#on.has("time")) return;
    const now = performance.now();
    this.#write("time", `${pass} ${(now - this.#last).toFixed(2)}`);
    this.#last = performance.now();
  }

  // Not through process.stderr, which would make the descriptor non-blocking for the program, too.
  #write(category: Category, text: string): void {
    writeSync(2, `capsule: ${category}: ${printable(text)}\n`);
  }
}
