#!/usr/bin/env -S BUN_JSC_useDFGJIT=0 BUN_JSC_useConcurrentGC=0 BUN_JSC_jitMemoryReservationSize=33554432 BUN_JSC_structureHeapSizeInKB=65536 BUN_JSC_largeHeapSize=99999999 MIMALLOC_ARENA_RESERVE=32MiB bun --no-env-file --config=/dev/null
// The command. The only file that prints errors and ends the process.
//
// Nothing in the folder where a game is started concerns this command: no .env, no
// bunfig.toml with scripts to preload. The optimizing compiler would only compete
// with us for 50 ms; a concurrent collector interrupts threads by SIGPWR, which
// others use, too, and any collection takes longer than all that would be collected
// is worth; and what is reserved by default, 6 GB, is in the way of a program that
// limits its memory, or locks it. (The kernel reads 254 bytes of that line.)

import { writeSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { ElfError } from "../lib/elf/error.ts";
import { LinkError } from "../lib/loader/error.ts";
import metadata from "../package.json" with { type: "json" };
import { execCommand } from "./commands/exec.ts";
import { EXIT, ProgramError, UsageError } from "./errors.ts";

/** One paragraph on standard error, and the exit code that belongs to the error. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT.usage; // commander has printed it
  const message = error instanceof Error ? error.message : String(error);
  const known = [ProgramError, UsageError, LinkError, ElfError].some((kind) => error instanceof kind);
  const isSystem = (error as NodeJS.ErrnoException).code !== undefined;
  // A fault of capsule's own says where, since nobody else can.
  const where = known || isSystem ? "" : `\n${error instanceof Error ? error.stack : ""}`;
  writeSync(2, `capsule: ${message}${where}\n`);
  if (error instanceof UsageError) return EXIT.usage;
  return error instanceof ProgramError ? error.exitCode : EXIT.failure;
}

/** commander's own messages begin with "error: ", its help does not. */
const output = {
  writeErr: (text: string) =>
    writeSync(2, text.startsWith("error: ") ? `capsule: ${text.slice("error: ".length)}` : text),
};

try {
  new Command("capsule")
    .description("Run programs on their own libraries and the host's graphics stack.")
    .version(metadata.version)
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput(output)
    .addCommand(execCommand(report).exitOverride().configureOutput(output))
    .parse();
} catch (error) {
  process.exit(report(error));
}
