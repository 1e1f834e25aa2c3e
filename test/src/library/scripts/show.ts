// What the scripts here have in common: each prints a fact a line, which the test expects.

import { FFIType } from "bun:ffi";

export const TEXT = { args: [], returns: FFIType.cstring } as const;

export const say = (what: string, value: unknown): void => console.log(`${what}: ${value}`);
