// A line on a terminal that says what takes long, and is gone when something else is
// to be seen there. Nothing of it is in a pipe, in a log, or on a terminal that
// somebody else is using. It is told of each file that is read: what is done quickly
// shows nothing, and costs no more than a look at the clock.

import { writeSync } from "node:fs";
import { basename } from "node:path";
import { readStat } from "../../lib/process/stat.ts";
import type { System } from "../../lib/process/system.ts";
import { unlessRefused } from "../../lib/system-error.ts";

/** Since the process began, until something is shown; in milliseconds. */
const SHOWN_AFTER_MS = 300;
/** Between two changes. */
const PACE = 50;
const STDERR = 2;

export interface Screen {
  /** In characters. */
  readonly width: number;
  write(text: string): void;
}

/** The terminal of standard error, if there is one for us. */
export function ownScreen(
  system: System,
  environment: Readonly<Record<string, string | undefined>>,
): Screen | undefined {
  const { TERM: terminal, CI: automatic } = environment;
  if (!terminal || terminal === "dumb" || automatic) return undefined;
  const width = system.terminalWidth(STDERR);
  if (width === undefined || !isInForeground()) return undefined;
  return { width, write: (text) => unlessRefused(() => writeSync(STDERR, text)) };
}

/** Has this process's group the terminal? Others only disturb. */
function isInForeground(): boolean {
  const [PGRP, TPGID] = [5, 8];
  const stat = readStat("self");
  return stat.field(PGRP) === stat.field(TPGID);
}

export class Progress implements Disposable {
  /** Undefined until it is asked for. */
  #screen: { readonly screen: Screen | undefined } | undefined;
  readonly #files = new Set<string>();
  #last = 0;
  #isShown = false;

  /** `screen` is looked for when something has taken long enough. */
  constructor(
    readonly screen: () => Screen | undefined,
    readonly now = () => performance.now(),
  ) {}

  /** A file is about to be read. */
  readonly reading = (path: string): void => {
    this.#files.add(path);
    const now = this.now();
    if (now < SHOWN_AFTER_MS || now - this.#last < PACE) return;
    this.#last = now;
    this.#screen ??= { screen: this.screen() };
    const { screen } = this.#screen;
    if (!screen) return;
    const text = `capsule: reading libraries: ${this.#files.size}, ${basename(path)}`;
    // A line that is full has ended, and is not to be erased any more.
    screen.write(`${ERASE}${printable(text).slice(0, screen.width - 1)}`);
    this.#isShown = true;
  };

  /** Something else is to be written there. */
  erase(): void {
    if (this.#isShown) this.#screen?.screen?.write(ERASE);
    this.#isShown = false;
  }

  [Symbol.dispose](): void {
    this.erase();
  }
}

const ERASE = "\r\x1b[K";

/** Wide characters and those of no width at all would make it another length. */
const printable = (text: string): string => text.replace(/[^ -~]/g, "?");
