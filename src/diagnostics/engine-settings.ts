// Bun's settings, as in main.ts's first line, which has the reasons. The server of an attached program is another Bun
// and gets the same.

export const ENGINE_SETTINGS = {
  BUN_JSC_useDFGJIT: "0",
  BUN_JSC_useConcurrentGC: "0",
  BUN_JSC_jitMemoryReservationSize: "33554432",
  BUN_JSC_structureHeapSizeInKB: "65536",
  BUN_JSC_largeHeapSize: "99999999",
  MIMALLOC_ARENA_RESERVE: "32MiB",
} as const;

/** Is it a variable by which Bun would do something else than it is told to on its command line? */
export const isForBun = (name: string): boolean => /^BUN_(OPTIONS|INSPECT)/.test(name);
