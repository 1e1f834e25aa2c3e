// The command's scripts, for the library: files next to its own (index.ts in src/, or index.js in the built dist/). An
// application that bundles the library leaves them behind, so the library has them in itself, too: these are unpacked
// once per user, as Bun runs only scripts that have names.

import { dirname, join } from "node:path";
import { LinkError } from "../../lib/link-error.ts";
import { System } from "../../lib/process/system.ts";
import { readWhole } from "../../lib/regular-file.ts";
import { SystemFault, unless } from "../../lib/unless.ts";
import { BE_BUN } from "../diagnostics/engine-settings.ts";
import { storeFile } from "../directories/own-cache.ts";
import { KeptDirectories } from "../reexec/kept-directories.ts";
import { isExecutable } from "../reexec/own-code.ts";
import { jsonIn } from "../reexec/reexec.ts";

/** What scripts/build.ts writes. */
export interface PackedScripts {
  /** Identifies all of it. */
  readonly key: string;
  /** Relative to dist/. */
  readonly names: readonly string[];
  /** Their texts: base64 of zstd of JSON. */
  readonly texts: string;
}

/**
 * The path of a script; `name` has no extension, and is relative to src/ or dist/. Throws LinkError if there is none, and
 * what unpacking throws.
 */
export function ownFile(name: string): string {
  const { dir, path } = import.meta;
  const isSource = path.endsWith("src/library/own-file.ts");
  const root = isSource ? dirname(dir) : dir;
  if (isOwnPackage(dirname(root))) return join(root, `${name}${isSource ? ".ts" : ".js"}`);
  return join(unpacked(), `${name}.js`);
}

const PACKAGE = { name: "package.json", most: 1 << 20 };

/** An application that is bundled to dist/index.js, too, is another package. */
function isOwnPackage(directory: string): boolean {
  const read = () => readWhole(join(directory, "package.json"), PACKAGE).toString();
  const metadata = jsonIn(unless([LinkError, SystemFault], read)) as { readonly name?: unknown } | null | undefined;
  return metadata?.name === "capsule";
}

/** The directory with all of them. */
function unpacked(): string {
  const { key, names, texts } = packed();
  const make = () => {
    const content = Bun.zstdDecompressSync(Buffer.from(texts, "base64")).toString();
    return new Map(Object.entries(JSON.parse(content) as Record<string, string>).map(([n, t]) => [n, Buffer.from(t)]));
  };
  return new KeptDirectories(storeFile(), new System()).with(key, { files: { names, make } });
}

/** Loaded only here: dist/scripts.js, by package.json's "imports". */
function packed(): PackedScripts {
  try {
    return require("#scripts") as PackedScripts;
  } catch (error) {
    throw new LinkError("Cannot find capsule's scripts: it was bundled before it was built (bun run build)", {
      object: "capsule",
      cause: error,
    });
  }
}

/** How to run a script: Bun, or this executable as Bun, and the variables for that. */
export const ownBun = (): { readonly path: string; readonly environment: Readonly<Record<string, string>> } => ({
  path: process.execPath,
  environment: isExecutable() ? BE_BUN : {},
});
