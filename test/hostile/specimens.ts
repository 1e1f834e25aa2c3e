// Sound libraries to damage for ld.so: small ones, so that a hundred thousand copies are soon made, with one of everything.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { PF_X } from "../../lib/elf/constants.ts";
import { openImage } from "../../lib/elf/file.ts";
import { installed, type Scratch } from "../lib/elf/scratch.ts";

/** A library that specimens need, and a version of. */
const OTHER = "int other(void) { return 1; }\n__thread int theirs = 2;\nint data = 3;";

const SOURCE = `
int red_1(void) { return 1; }
int red_2(void) { return 2; }
int blue(void) { return 3; }
__thread int green = 4;
__thread int zeroes[20];
extern __thread int theirs;
extern int data, absent __attribute__((weak));
extern int puts(const char *), other(void);
int say(void) { return puts("red") + other() + theirs + data + (&absent ? 1 : 0) + zeroes[1]; }
__asm__(".symver red_1,red@RED_1");
__asm__(".symver red_2,red@@RED_2");
static int chosen(void) { return 5; }
static void *choose(void) { return chosen; }
int indirect(void) __attribute__((ifunc("choose")));
void *table[] = { &red_1, &chosen, &blue, &data, &puts, table + 1 };
char room[5000];
static void __attribute__((constructor)) go(void) { table[0] = 0; room[green] = indirect(); }
static void __attribute__((destructor)) gone(void) { table[0] = 0; }
`;

const MAP = "RED_1 { global: blue; };\nRED_2 { global: red; say; green; table; room; indirect; } RED_1;\n";

const POINTERS = `
#define TEN(x) x, x, x, x, x, x, x, x, x, x
static int one;
int *dense[200] = { TEN(&one), TEN(&one), TEN(&one) };
int blue(void) { return one; }
`;

/** Real libraries of this machine, by soname: those that are small. */
const REAL = ["libXau.so.6", "libdl.so.2", "libX11-xcb.so.1"];

/** One byte of an instruction: return. */
const RET = 0xc3;

/** Every function of a file returns at once: what damage kills is then ld.so, and not the code that it calls. */
function withoutCode(path: string): string {
  using image = openImage(path);
  const bytes = new Uint8Array(readFileSync(path));
  for (const { p_flags, p_offset, p_filesz } of image.loads)
    if (p_flags & PF_X) bytes.fill(RET, p_offset, p_offset + p_filesz);
  writeFileSync(path, bytes);
  return path;
}

/** Sonames of what is there when the libraries are opened. */
export const NEEDED = ["libc.so.6", "ld-linux-x86-64.so.2"];

/** Paths by what is special. They need what is in `scratch`, by soname. */
export function buildLibraries(scratch: Scratch): Record<string, string> {
  const map = scratch.write("specimen.map", MAP);
  const others = scratch.write("other.map", "O_1 { global: other; theirs; data; };");
  const shared = ["-w", "-shared", "-fPIC", "-O1"];
  const other = scratch.compile(
    "libother.so.1",
    OTHER,
    ...shared,
    "-Wl,-soname,libother.so.1",
    `-Wl,--version-script=${others}`,
  );
  const versioned = [...shared, "-Wl,-soname,libspecimen.so.1", `-Wl,--version-script=${map}`, other];
  const hash = (style: string) => `-Wl,--hash-style=${style}`;
  const built = {
    gnu: scratch.compile("libgnu.so", SOURCE, ...versioned, hash("gnu")),
    sysv: scratch.compile("libsysv.so", SOURCE, ...versioned, hash("sysv"), "-mtls-dialect=gnu2"),
    now: scratch.compile("libnow.so", SOURCE, ...versioned, hash("both"), "-Wl,-z,now,-z,pack-relative-relocs"),
    static: scratch.compile("libstatic.so", SOURCE, ...versioned, hash("gnu"), "-ftls-model=initial-exec"),
    relr: scratch.compile("librelr.so", POINTERS, ...shared, "-nodefaultlibs", "-Wl,-z,pack-relative-relocs"),
  };
  const real = REAL.flatMap((soname) => {
    const path = installed(soname);
    return path !== undefined && existsSync(path)
      ? [[soname, scratch.write(`real-${soname}`, readFileSync(path))]]
      : [];
  });
  const all: Record<string, string> = { ...built, ...Object.fromEntries(real) };
  for (const path of [other, ...Object.values(all)]) withoutCode(path);
  return all;
}
