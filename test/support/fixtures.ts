// Builds the C and C++ sources below fixtures/ into directories that hold libraries and programs laid out as trees.
// A build is named by the hash of everything that went into it, so it is made once and never stale.

import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { cacheDirectory, madeOnce } from "./cache.ts";
import { repository, run } from "./run.ts";

/**
 * A library or a program, or a copy of one that the compiler knows. In paths and flags `{out}` stands for the absolute
 * path that the finished build will have.
 */
export type Output = Binary | Copy;

export interface Binary {
  /** Below the build's directory. With ".so" in its name it becomes a shared library. */
  path: string;
  /** In the fixture's folder, from where flags name files, too. C++ if the first one ends in ".cc". */
  sources: string[];
  /** When it is not the file's name, a link of that name is added beside it, as ldconfig would. null: it has none. */
  soname?: string | null;
  /** Outputs listed before this one, to be linked to. */
  needs?: string[];
  /** DT_RUNPATH */
  runpath?: string;
  /** DT_RPATH, the older of the two */
  rpath?: string;
  flags?: string[];
  /** Leave only what the dynamic linker needs. */
  isStripped?: boolean;
}

export interface Copy {
  path: string;
  /** A library by the name with which the compiler finds it, such as "libstdc++.so.6". */
  copyOf: string;
}

/** Builds the folder `fixtures/<folder>` as listed, in that order, and returns the build's directory. */
export async function build(folder: string, outputs: Output[]): Promise<string> {
  const sources = join(repository, "fixtures", folder);
  const hash = createHash("sha256")
    .update(compilerVersion())
    .update(readFileSync(import.meta.path))
    .update(JSON.stringify([folder, outputs]));
  // and the headers beside the folder, which others share
  const headers = readdirSync(dirname(sources)).filter((name) => name.endsWith(".h"));
  for (const name of [...readdirSync(sources), ...headers.map((header) => join("..", header))].sort())
    hash.update(name).update(readFileSync(join(sources, name)));
  const out = join(cacheDirectory(), "fixtures", `${basename(folder)}-${hash.digest("hex").slice(0, 16)}`);
  return madeOnce(out, async (directory) => {
    for (const output of outputs) {
      const path = join(directory, filledIn(output.path, out));
      mkdirSync(dirname(path), { recursive: true });
      if ("copyOf" in output) copyFileSync(await libraryOfTheCompiler(output.copyOf), path);
      else await compile(output, path, { sources, directory, out });
    }
  });
}

interface Place {
  sources: string;
  /** where the build is being made */
  directory: string;
  /** where it will be */
  out: string;
}

async function compile(binary: Binary, path: string, { sources, directory, out }: Place): Promise<void> {
  const isLibrary = basename(path).includes(".so");
  const soname = binary.soname === undefined ? basename(path) : binary.soname;
  const needed = (binary.needs ?? []).map((name) => join(directory, filledIn(name, out)));
  await succeed(
    [
      // g++ before 11 takes an older standard
      ...(binary.sources[0]?.endsWith(".cc") ? ["c++", "-std=gnu++17"] : ["cc"]),
      ...["-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"],
      ...(isLibrary ? ["-fPIC", "-shared", ...(soname === null ? [] : [`-Wl,-soname,${soname}`])] : ["-fPIE", "-pie"]),
      // DT_NEEDED has exactly what a fixture asks for, in that order, whether or not the linker sees a use for it
      ...["-Wl,--no-as-needed", "-Wl,--allow-shlib-undefined"],
      ...(binary.flags ?? []).map((flag) => filledIn(flag, out)),
      ...searchPath("--enable-new-dtags", binary.runpath, out),
      ...searchPath("--disable-new-dtags", binary.rpath, out),
      ...["-o", path],
      ...binary.sources,
      ...needed,
      // before glibc 2.34, libc has no dlopen
      ...["-Wl,--push-state,--as-needed", "-ldl", "-lpthread", "-lrt", "-Wl,--pop-state"],
    ],
    sources,
  );
  if (binary.isStripped) await succeed(["strip", "-s", path]);
  if (soname !== null && soname !== basename(path)) symlinkSync(basename(path), join(dirname(path), soname));
}

function searchPath(kind: string, path: string | undefined, out: string): string[] {
  return path === undefined ? [] : [`-Wl,${kind}`, `-Wl,-rpath,${filledIn(path, out)}`];
}

function filledIn(text: string, out: string): string {
  return text.replaceAll("{out}", out);
}

async function libraryOfTheCompiler(name: string): Promise<string> {
  return (await succeed(["cc", `-print-file-name=${name}`])).trim();
}

let compiler: string | undefined;

function compilerVersion(): string {
  compiler ??= Bun.spawnSync(["cc", "--version"]).stdout.toString();
  return compiler;
}

async function succeed(argv: string[], cwd = repository): Promise<string> {
  const { exitCode, stdout, stderr } = await run(argv, { timeout: 60_000, cwd });
  if (exitCode !== 0) throw new Error(`Exit code ${exitCode}: ${argv.join(" ")}\n${stderr}`);
  return stdout;
}
