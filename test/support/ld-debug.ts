// What a tree's own ld.so says of how it binds symbols, with the tree as its root. It relocates everything and runs
// nothing: LD_WARN has it look for missing symbols, which takes relocating, where it would only list libraries.

import type { Tree } from "../../lib/tree/tree.ts";

const LOADER = "/lib64/ld-linux-x86-64.so.2";
const BINDING = /binding file (.*) \[0\] to (.*) \[0\]: (\w+) symbol `(.*?)'(?: \[(.*)\])?$/gm;
const ASKED = /symbol=(.*); {2}lookup in file=(.*) \[0\]$/;
const MISSING = /^(?:symbol lookup error: )?undefined symbol: ([^,\t]*)(?:, version (.*?))?\t\((.*)\)$/gm;

export interface Bound {
  /** A line for each symbol that is bound for somebody, in our own words; each once. */
  readonly bindings: ReadonlySet<string>;
  /** Those that are not, but should be. */
  readonly missing: ReadonlySet<string>;
}

/** Paths are of this machine. */
export const bindingLine = (
  requester: string,
  definer: string,
  name: string,
  version: string | undefined,
  isProtected: boolean,
): string => `${requester} gets ${name}@${version ?? ""} of ${definer}${isProtected ? " (protected)" : ""}`;

export const missingLine = (requester: string, name: string, version: string | undefined): string =>
  `${requester} misses ${name}@${version ?? ""}`;

// chroot(1) would do, but its own ld.so would hear what is meant for the other one.
const CHROOT = `my $root = shift; $root eq "/" or chroot $root or die $!; chdir "/"; $ENV{$1} = $2 while $ARGV[0] =~ /^(LD_\\w+)=(.*)/ && shift; exec @ARGV`;

/** Another tree than / takes root: chroot(2). */
export function boundByLdSo(tree: Tree, path: string, preload: readonly string[] = []): Bound {
  const text = traced(tree, path, "bindings", preload);
  const bindings = new Set<string>();
  const real = (inTree = "") => tree.resolve(inTree) ?? inTree;
  for (const [, requester, definer, kind, name = "", version] of text.matchAll(BINDING)) {
    // The kernel's own, which is for libc.
    if (requester === "linux-vdso.so.1") continue;
    bindings.add(bindingLine(real(requester), real(definer), name, version, kind === "protected"));
  }
  const missing = new Set<string>();
  for (const [, name = "", version, requester] of text.matchAll(MISSING))
    missing.add(missingLine(real(requester), name, version));
  return { bindings, missing };
}

/** For each symbol that is bound for somebody, by bindingLine(): the files that ld.so has asked for it, in order. */
export function askedByLdSo(tree: Tree, path: string): ReadonlyMap<string, readonly string[]> {
  const asked = new Map<string, readonly string[]>();
  const real = (inTree = "") => tree.resolve(inTree) ?? inTree;
  let files: string[] = [];
  let symbol = "";
  for (const line of traced(tree, path, "symbols,bindings").split("\n")) {
    const question = ASKED.exec(line);
    if (question) {
      const [, name = "", file] = question;
      // Of a weak symbol that nobody has, nothing is said in the end.
      if (name !== symbol) files = [];
      symbol = name;
      files.push(real(file));
    }
    for (const [, requester, definer, kind, name = "", version] of line.matchAll(BINDING)) {
      asked.set(bindingLine(real(requester), real(definer), name, version, kind === "protected"), files);
      files = [];
    }
  }
  return asked;
}

function traced(tree: Tree, path: string, categories: string, preload: readonly string[] = []): string {
  const settings = ["LD_TRACE_LOADED_OBJECTS=1", "LD_WARN=1", "LD_BIND_NOW=1", `LD_DEBUG=${categories}`];
  if (preload.length > 0) settings.push(`LD_PRELOAD=${preload.join(":")}`);
  const command = ["perl", "-e", CHROOT, tree.name, ...settings, LOADER, tree.inside(path)];
  const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" };
  return Bun.spawnSync(command, { env, stdin: "ignore" }).stderr.toString();
}
