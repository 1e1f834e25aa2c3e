// Executable stacks, which some libraries say that they want (assembly without
// .note.GNU-stack, for the most part). Until glibc 2.40 all stacks become executable when
// such a one is loaded, by whomever. Since 2.41 dlopen refuses it where they are not, and
// ld.so has them so at the start of a process alone: where the program or what it needs
// wants it, or by a tunable (of which this value is in 2.42, and in most of 2.41).

import { compareVersions } from "../../lib/elf/glibc-version.ts";
import type { Library } from "../../lib/elf/library.ts";
import { readMaps } from "../../lib/memory/maps.ts";
import type { ChosenGlibc } from "./glibc/choice.ts";
import { versionOf } from "./glibc/choice.ts";

const FIRST_TO_REFUSE = [2, 41];
export const EXECUTABLE_STACK = { name: "glibc.rtld.execstack", always: "2" } as const;

/** Those that dlopen refuses on that glibc, unless all stacks are executable from the start. */
export const wantingStacks = (
  libraries: readonly Library[],
  { version }: Pick<ChosenGlibc, "version">,
): readonly Library[] =>
  compareVersions(versionOf({ version }), FIRST_TO_REFUSE) < 0
    ? []
    : libraries.filter(({ wantsExecutableStack }) => wantsExecutableStack);

/** Is this process's own stack? */
export const hasExecutableStack = (): boolean =>
  readMaps().some(({ path, executable }) => path === "[stack]" && executable);
