// Bun's settings, for the command (scripts/launcher.ts) and for the server of an attached program, which is another Bun.
//
// The optimizing compiler would only compete with us for 50 ms. A concurrent collector interrupts threads by SIGPWR, which
// others use, too, and any collection takes longer than the memory it frees is worth. The 6 GB that are reserved by
// default get in the way of programs that limit or lock their memory.

export const ENGINE_SETTINGS = {
  BUN_JSC_useDFGJIT: "0",
  BUN_JSC_useConcurrentGC: "0",
  BUN_JSC_jitMemoryReservationSize: "33554432",
  BUN_JSC_structureHeapSizeInKB: "65536",
  BUN_JSC_largeHeapSize: "99999999",
  MIMALLOC_ARENA_RESERVE: "32MiB",
} as const;

/**
 * An executable that `bun build --compile` has made is Bun itself if this variable is set, to whatever. Nobody else sets
 * it to this.
 */
export const BE_BUN = { BUN_BE_BUN: "for capsule" } as const;

/** Is it a variable by which Bun would do something else than it is told to on its command line? */
export const isForBun = (name: string): boolean => /^BUN_(OPTIONS|INSPECT)/.test(name);
