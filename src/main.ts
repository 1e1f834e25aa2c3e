#!/usr/bin/env -S BUN_JSC_useDFGJIT=0 BUN_JSC_useConcurrentGC=0 BUN_JSC_jitMemoryReservationSize=33554432 BUN_JSC_structureHeapSizeInKB=65536 BUN_JSC_largeHeapSize=99999999 MIMALLOC_ARENA_RESERVE=32MiB bun --no-env-file --config=/dev/null
// The command's entry: settings that have to apply before it is loaded.
//
// The folder where a game is started must not affect this command: no .env, no bunfig.toml with scripts to preload. The
// optimizing compiler would only compete with us for 50 ms. A concurrent collector interrupts threads by SIGPWR, which
// others use, too, and any collection takes longer than the memory it frees is worth. The 6 GB that are reserved by
// default get in the way of programs that limit or lock their memory. (The kernel reads 254 bytes of that line.)

import { reexecFromCache } from "./reexec/from-cache.ts";
import { startAgainWithoutBuns } from "./reexec/start-again.ts";

reexecFromCache();
startAgainWithoutBuns();
// By path, as the bundle has it beside this file, too; dynamically, as a command that is started over does not need it.
void import(Bun.main.replace(/main(\.\w+)$/, `${process.argv[2] === "exec" ? "exec" : "command"}$1`));
