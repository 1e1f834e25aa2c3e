// A function that asks before it does anything, and does what `real` does where nobody answers.

import type { Address } from "../../../lib/memory/numbers.ts";
import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { ask } from "../../../src/agent/code/ask.ts";

export function emitAsking(to: Assembler, label: string, kind: number, real: Address): void {
  to.label(label);
  ask(to, kind, `${label} real`);
  to.align(8).label(`${label} real`).quad(real);
}
