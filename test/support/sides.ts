// A fixture that does the same on both sides of the border: side.c is compiled into the program and into an isolated
// library. Each side opens libraries of its own tree, built from the same sources, whose names and symbols begin with
// the side's, so that natively, where both trees are on one path and in one scope, nobody meets the other's.

import { expectLines } from "./expect.ts";
import type { Output } from "./fixtures.ts";
import { HOST, type Pair, pair, RUNTIME } from "./pair.ts";

export const SIDES = ["program", "host"] as const;
export type Side = (typeof SIDES)[number];

/** "lib<side>-<name>.so.1", of each side. */
export interface SideLibrary {
  name: string;
  /** Default: "<name>.c". */
  source?: string;
  /** Names of earlier ones, to be linked to. */
  needs?: string[];
  flags?: string[];
  runpath?: string;
  /** Below the side's library directory. */
  directory?: string;
}

const DIRECTORY: Record<Side, string> = { program: RUNTIME, host: HOST };

/** SIDE is a side's name in quotation marks, OWN(x) is x with that name in front. */
const sideFlags = (side: Side): string[] => [`-DSIDE="${side}"`, `-DOWN(name)=${side}_##name`];

/** `needed` are the names of the libraries that side.c is linked to. */
export async function sides(folder: string, libraries: SideLibrary[] = [], needed: string[] = []): Promise<Pair> {
  const directories = new Map(libraries.map(({ name, directory }) => [name, directory]));
  const file = (side: Side, name: string): string =>
    [DIRECTORY[side], directories.get(name), `lib${side}-${name}.so.1`].filter(Boolean).join("/");
  const outputs = SIDES.flatMap((side) =>
    libraries.map(
      ({ name, source = `${name}.c`, needs = [], flags = [], runpath }): Output => ({
        path: file(side, name),
        sources: [source],
        needs: needs.map((needed) => file(side, needed)),
        flags: [...sideFlags(side), ...flags],
        ...(runpath === undefined ? {} : { runpath }),
      }),
    ),
  );
  const host = `${HOST}/libhost.so.1`;
  const own = (side: Side, flags: string[] = []) => ({
    sources: ["side.c"],
    needs: [...(side === "program" ? [host] : []), ...needed.map((name) => file(side, name))],
    flags: [...sideFlags(side), ...flags],
  });
  return pair(folder, [
    ...outputs,
    { path: host, ...own("host") },
    { path: "program", ...own("program", ["-DIS_PROGRAM", "-rdynamic"]) },
  ]);
}

/** Natively and in the capsule, that side prints these lines. */
export async function expectOfSide(fixture: Pair, side: Side, expected: string[]): Promise<void> {
  expectLines(await fixture.native([side]), expected);
  expectLines(await fixture.capsule([side]), expected);
}
