#!/usr/bin/env -S BUN_JSC_useDFGJIT=0 BUN_JSC_useConcurrentGC=0 BUN_JSC_jitMemoryReservationSize=33554432 BUN_JSC_structureHeapSizeInKB=65536 BUN_JSC_largeHeapSize=99999999 MIMALLOC_ARENA_RESERVE=32MiB bun --no-env-file --config=/dev/null
// The command: what has to be the case before it is loaded at all.
//
// Nothing in the folder where a game is started concerns this command: no .env, no
// bunfig.toml with scripts to preload. The optimizing compiler would only compete
// with us for 50 ms; a concurrent collector interrupts threads by SIGPWR, which
// others use, too, and any collection takes longer than all that would be collected
// is worth; and what is reserved by default, 6 GB, is in the way of a program that
// limits its memory, or locks it. (The kernel reads 254 bytes of that line.)

import { recall } from "./reexec/recall.ts";

recall();
// By its path, as the bundle has it beside this file, too: it is not to be loaded where the command is started over.
void import(Bun.main.replace(/main(\.\w+)$/, "command$1"));
