// Functions that are chosen when a program starts (STT_GNU_IFUNC; glibc has a hundred of
// them, by what the processor can do). Who can run code of what is linked calls the
// resolvers, in order, when everything else is relocated, and before RELRO is protected.

import type { Address } from "../memory/numbers.ts";
import type { ResolverCall } from "./relocation.ts";
import { Slots } from "./slots.ts";
import type { AddressSpace } from "./space.ts";
import { plus } from "./values.ts";

/** Writes what a resolver has returned. */
export function writeChoice(space: AddressSpace, { object, vaddr, addend }: ResolverCall, chosen: Address): void {
  new Slots(space, object).write64(vaddr, plus(chosen, addend));
}
