// A host library that needs two that do not call themselves as it does, and a program that has copies of these.

import type { Output } from "./fixtures.ts";
import { HOST, RUNTIME } from "./pair.ts";

/** The fixture's folder. */
export const NEEDED = "loading/who-is-needed-is-the-file-that-was-found";

const NAMES = [
  { file: "libbare.so", soname: null, function: "bare" },
  { file: "libother.so.1", soname: "libother-ng.so.2", function: "other" },
];
const helper = (directory: string, place: string, own: { soname?: string | null }[], flags: string[] = []) =>
  NAMES.map(({ file, function: name }, i): Output => {
    const text = [`-DFUNCTION=${name}`, `-DTEXT="${file}"`, `-DPLACE="${place}"`];
    return { path: `${directory}/${file}`, sources: ["helper.c"], flags: [...text, ...flags], ...own[i] };
  });
/** To link to: with the names that are needed. */
const stubs = helper("stubs", "nowhere", []);
const host = `${HOST}/libhost.so.1`;
export const needed: Output[] = [
  ...stubs,
  { path: "stubs/libside.so.1", sources: ["side.c"] },
  ...helper(
    HOST,
    "host",
    NAMES.map(({ soname }) => ({ soname })),
  ),
  { path: host, sources: ["host.c"], needs: stubs.map(({ path }) => path) },
  { path: `${RUNTIME}/libside.so.1`, sources: ["side.c"], soname: "libside-ng.so" },
  { path: "opens", sources: ["program.c"], needs: ["stubs/libside.so.1"] },
  { path: "linked", sources: ["program.c"], needs: ["stubs/libside.so.1", host], flags: ["-DIS_LINKED"] },
];
/** Copies of the program's side, of the same names. */
export const ownCopies = helper(RUNTIME, "runtime", [], ["-DIS_PROGRAMS"]);
