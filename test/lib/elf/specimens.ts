// Real images to compare readers on: some that every system has, and some built
// here, each for one way of saying things.

import { readMaps } from "../../../lib/memory/maps.ts";
import { installed, type Scratch } from "./scratch.ts";

/** The file of a library that this process has loaded. Throws where it has not. */
export function loadedFile(soname: string): string {
  const path = readMaps().find((mapping) => mapping.path.endsWith(`/${soname}`))?.path;
  if (path === undefined) throw new Error(`Cannot find "${soname}" among the files that this process has mapped`);
  return path;
}

const VERSIONED = `
int red_1(void) { return 1; }
int red_2(void) { return 2; }
int blue(void) { return 3; }
__thread int green = 4;
extern int puts(const char *), errno;
extern void *dlopen(const char *, int);
int say(void) { return puts("red") + (dlopen != 0); }
__asm__(".symver red_1,red@RED_1");
__asm__(".symver red_2,red@@RED_2");
static int chosen(void) { return 5; }
static void *choose(void) { return chosen; }
int indirect(void) __attribute__((ifunc("choose")));
void *table[] = { &red_1, &chosen, &blue, table + 1 };
`;

const POINTERS = `
#define TEN(x) x, x, x, x, x, x, x, x, x, x
static int one;
int *dense[200] = { TEN(&one), TEN(&one), TEN(&one), TEN(&one), TEN(&one), TEN(&one), TEN(&one), TEN(&one) };
struct { char *text; long number; } sparse[] = { {"a", 1}, {"b", 2}, {"c", 3} };
`;

const PROGRAM = `
#include <stdio.h>
#include <stdlib.h>
int main(void) { return fputs(getenv("HOME"), stdout) < 0; }
`;

/** Images built from C, by what is special about them. Slow enough (a second in all) to be called once a file. */
export function buildSpecimens(scratch: Scratch): Record<string, string> {
  const versions = scratch.write(
    "versions.map",
    "RED_1 { global: blue; local: chosen; };\nRED_2 { global: red; say; } RED_1;\n",
  );
  const shared = ["-shared", "-fPIC", "-O1"];
  const versioned = [...shared, "-Wl,-soname,libversioned.so.1", `-Wl,--version-script=${versions}`];
  return {
    "symbol versions": scratch.compile("libversioned.so", VERSIONED, ...versioned),
    "a SysV hash table alone": scratch.compile("libsysv.so", VERSIONED, ...versioned, "-Wl,--hash-style=sysv"),
    "a GNU hash table alone": scratch.compile("libgnu.so", VERSIONED, ...versioned, "-Wl,--hash-style=gnu"),
    "packed relative relocations": scratch.compile("librelr.so", POINTERS, ...shared, "-Wl,-z,pack-relative-relocs"),
    "no exported symbol": scratch.compile(
      "libsilent.so",
      `extern int puts(const char *); static void __attribute__((constructor)) go(void) { puts("x"); }`,
      ...[...shared, "-nostartfiles", "-Wl,--hash-style=gnu"],
    ),
    "no symbol and no library": scratch.compile("libnothing.so", "", ...shared, "-nostdlib"),
    "an old-style run path": scratch.compile(
      "librpath.so",
      "",
      ...[...shared, "-Wl,--disable-new-dtags", "-Wl,-rpath,$ORIGIN/../lib:/opt/run"],
    ),
    "a fixed address and COPY relocations": scratch.compile("fixed", PROGRAM, "-no-pie", "-fno-pie"),
    "a position-independent program": scratch.compile("pie", PROGRAM, "-pie", "-fPIE", "-Wl,-rpath,/opt/run"),
  };
}

/** Real libraries and programs, by name; undefined where one is not installed. */
export const realImages: Readonly<Record<string, string | undefined>> = {
  "libc.so.6": loadedFile("libc.so.6"),
  "libm.so.6": loadedFile("libm.so.6"),
  "ld-linux-x86-64.so.2": loadedFile("ld-linux-x86-64.so.2"),
  "libstdc++.so.6": installed("libstdc++.so.6"),
  "libX11.so.6": installed("libX11.so.6"),
  "libGL.so.1": installed("libGL.so.1"),
  "bun itself": process.execPath,
};
