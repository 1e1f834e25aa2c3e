// Executable stacks, which some libraries request (mostly assembly without .note.GNU-stack). Up to glibc 2.40, loading
// such a library makes all stacks executable, whoever loads it. Since 2.41, dlopen refuses it unless they already are,
// and ld.so makes them so only at process start: if the program or one of its dependencies requests it, or by a tunable
// (this value of it is in 2.42 and most builds of 2.41).

import { compareVersions } from "../../lib/elf/glibc-version.ts";
import type { Library } from "../../lib/elf/library.ts";
import { readMaps } from "../../lib/memory/maps.ts";
import type { ChosenGlibc } from "./glibc/choice.ts";
import { versionOf } from "./glibc/choice.ts";

const FIRST_TO_REFUSE = [2, 41];
export const EXECUTABLE_STACK = { name: "glibc.rtld.execstack", always: "2" } as const;

/** The libraries that dlopen refuses on that glibc unless all stacks are executable from the start. */
export const wantingStacks = (
  libraries: readonly Library[],
  { version }: Pick<ChosenGlibc, "version">,
): readonly Library[] =>
  compareVersions(versionOf({ version }), FIRST_TO_REFUSE) < 0
    ? []
    : libraries.filter(({ wantsExecutableStack }) => wantsExecutableStack);

/** Is this process's main stack executable? */
export const hasExecutableStack = (): boolean =>
  readMaps().some(({ path, executable }) => path === "[stack]" && executable);
