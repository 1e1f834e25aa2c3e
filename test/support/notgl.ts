// The notgl family: a GL-like library, its sibling and the helper that both need, in three colours. "reference" is what
// the runtime brings; red and green are host trees. Every copy looks for its helper in the directory of the *reference*
// build, so the same path is a different library on either side of the border.

import { join } from "node:path";
import { build, type Output } from "./fixtures.ts";

export const LIBRARIES = "usr/lib/x86_64-linux-gnu";
const FOLDER = "notgl/each-side-keeps-its-own-helper";

export interface Notgl {
  /** For LD_LIBRARY_PATH: the runtime's copies. */
  reference: string;
  /** A host tree. */
  red: string;
  /** A host tree. */
  green: string;
  programs: { linkedToOne: string; linkedToBoth: string; linkedToNone: string };
}

export interface HostVariant {
  /** For the linker, on each library of the two host trees. */
  flags?: string[];
  isStripped?: boolean;
}

type Colour = "reference" | "red" | "green";

export async function notgl(host: HostVariant = {}): Promise<Notgl> {
  const out = await build(FOLDER, [
    ...libraries("reference", {}),
    ...libraries("red", host),
    ...libraries("green", host),
    program("linked-to-one", ["libnotgl.so.0.42.23"]),
    program("linked-to-both", ["libnotgl.so.0.42.23", "libnotgles.so.1.42.23", "libhelper.so.0"]),
    program("linked-to-none", []),
  ]);
  return {
    reference: join(out, "reference"),
    red: join(out, "red"),
    green: join(out, "green"),
    programs: {
      linkedToOne: join(out, "linked-to-one"),
      linkedToBoth: join(out, "linked-to-both"),
      linkedToNone: join(out, "linked-to-none"),
    },
  };
}

/** What a program that shows `family` prints when its copy of that colour is the one bound. */
export function shown(family: "notgl" | "notgles", colour: Colour): string[] {
  return [
    `${family}_get_implementation: ${colour}`,
    `${family}_use_helper: ${helper(colour)}`,
    ...extensions(family, colour),
  ];
}

/** The same, as the program prints it that finds the library by dlopen. */
export function shownByHandle(family: "notgl" | "notgles", colour: Colour): string[] {
  const soname = family === "notgl" ? "libnotgl.so.0" : "libnotgles.so.1";
  return [
    `${soname} by dlsym`,
    `get_implementation: ${colour}`,
    `use_helper: ${helper(colour)}`,
    ...extensions(family, colour),
  ];
}

export function helper(colour: Colour): string {
  return colour === "reference" ? "container (reference)" : `host (${colour})`;
}

function extensions(family: string, colour: Colour): string[] {
  return [
    `${family}_extension_both: both, in ${colour}`,
    ...["red", "green", "reference"].map(
      (only) => `${family}_extension_${only}: ${only === colour ? `only in ${colour}` : "not found"}`,
    ),
  ];
}

function libraries(colour: Colour, { flags = [], isStripped = false }: HostVariant): Output[] {
  const side = colour === "reference" ? "container" : "host";
  // The host trees have their helper nowhere but under the re-rooted DT_RUNPATH: only a search that goes by it finds
  // one.
  const runpath = "{out}/reference";
  const helperAt = colour === "reference" ? "reference" : `${colour}{out}/reference`;
  const restAt = colour === "reference" ? "reference" : `${colour}/${LIBRARIES}`;
  // They must not matter, and are unequal for that reason.
  const version = { reference: "42.23", red: "123.456", green: "23.42" }[colour];
  const common = { flags: [`-DCOLOUR=${colour}`, `-DSIDE=${side}`, ...flags], isStripped };
  const helperPath = `${helperAt}/libhelper.so.0`;
  return [
    { path: helperPath, sources: ["helper.c"], ...common },
    {
      path: `${restAt}/libnotgl.so.0.${version}`,
      soname: "libnotgl.so.0",
      sources: ["notgl.c"],
      needs: [helperPath],
      runpath,
      ...common,
    },
    {
      path: `${restAt}/libnotgles.so.1.${version}`,
      soname: "libnotgles.so.1",
      sources: ["notgles.c"],
      needs: [helperPath],
      runpath,
      ...common,
    },
  ];
}

function program(name: string, needs: string[]): Output {
  // -rdynamic as many games have it: then the program's own symbols are in the scope of every library, too
  return {
    path: name,
    sources: [`${name}.c`],
    needs: needs.map((library) => `reference/${library}`),
    flags: ["-rdynamic"],
  };
}
