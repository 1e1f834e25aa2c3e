// What `capsule capture` and `capsule verify` do, for scripts.

import { captureAs, DEFAULT_COMPARATORS } from "../capture/capture.ts";
import { type Comparator, comparatorsOf } from "../capture/knowledge.ts";
import type { CaptureReport } from "../capture/report-data.ts";
import { type VerifyReport, verifyFolder } from "../capture/verify.ts";
import { asLinkError } from "../diagnostics/error-data.ts";

/** What to capture, from where, for whom. */
export interface CaptureOptions {
  /** As `capsule capture` takes them: `soname:libz.so.1`, `if-exists:path-match:/usr/lib/*.so`, `gl:`, … */
  readonly patterns?: readonly string[];
  /** Profiles of {@link exec}, such as `gl`: their libraries, with drivers and all that these read. */
  readonly profiles?: readonly string[];
  /** The folder. It is made if it is missing, but not those above it. */
  readonly destination: string;
  /** The tree to take libraries from. Default: `/`. */
  readonly provider?: string;
  /** The tree that they are for. Default: `/`. */
  readonly container?: string;
  /** Where the provider will be when the folder is used. Default: where it is. */
  readonly linkTarget?: string;
  /** Where the folder will be in the container, for variables and drivers' manifests. Default: where it is. */
  readonly mountedAt?: string;
  /** Beginnings of links, and what to put in their place. */
  readonly remapLinkPrefix?: Readonly<Record<string, string>>;
  /** How to tell which copy is newer; the first that can tell decides. Default: `name`, `provider`. */
  readonly compareBy?: readonly Comparator[];
  /** A file that says how single libraries are compared. */
  readonly libraryKnowledge?: string;
  /** Whether glibc may be captured. Default: true. */
  readonly glibc?: boolean;
  /** Copies in place of links. Default: false. */
  readonly copy?: boolean;
  /** Nothing is written. Default: false. */
  readonly dryRun?: boolean;
}

/**
 * Makes a folder of links to libraries of a tree, with all that they need, but for what the container has as new or
 * newer. Files are read; nothing is run or loaded.
 *
 * @param options patterns, profiles or both, and the folder
 * @returns what `capsule capture --json` prints
 * @throws {@link UsageError} if an option or a pattern makes no sense.
 * @throws {@link LinkError} if a library, a tree or the folder is missing or unusable. The folder is as it was before
 *   then, as with all errors.
 * @throws {@link ElfError} if a library is damaged.
 *
 * @example
 * ```ts
 * import { capture } from "capsule";
 *
 * const { captured, environment } = capture({
 *   profiles: ["gl", "vulkan"],
 *   provider: "/run/host",
 *   destination: "/tmp/graphics",
 * });
 * for (const { name, path } of captured) console.log(`${name}: ${path}`);
 * const env = Object.fromEntries(environment.map(({ name, value }) => [name, value]));
 * Bun.spawn(["glxgears"], { env: { ...process.env, ...env } });
 * ```
 */
export function capture(options: CaptureOptions): CaptureReport {
  const { patterns = [], profiles = [], destination, provider = "/", container = "/", remapLinkPrefix = {} } = options;
  return asOurs(() =>
    captureAs({
      ...{ patterns, profiles, destination, provider, container },
      mountedAt: options.mountedAt,
      linkTarget: options.linkTarget,
      remapped: Object.entries(remapLinkPrefix).map(([from, to]) => ({ from, to })),
      compareBy: comparatorsOf(options.compareBy ?? DEFAULT_COMPARATORS, ""),
      knowledge: options.libraryKnowledge,
      isWithoutGlibc: options.glibc === false,
      isCopied: options.copy ?? false,
      isDryRun: options.dryRun ?? false,
    }),
  );
}

/** Which folder to look at, and whose programs. */
export interface VerifyOptions {
  /** The tree that the programs are of. Default: `/`. */
  readonly container?: string;
  /** The tree that links lead to. Default: `/`. */
  readonly provider?: string;
  /** Where the provider will be, as for {@link capture}. */
  readonly linkTarget?: string;
  /** The ld.so that will be in the place of the container's: a file. */
  readonly loader?: string;
  /** Programs to look at, too: paths in the container. */
  readonly programs?: readonly string[];
}

/**
 * Tells what programs of a container get with a folder in front of their own libraries (`LD_LIBRARY_PATH`). Files are
 * read; nothing is run or loaded.
 *
 * @param folder as {@link capture} makes it
 * @param options where it is used
 * @returns what `capsule verify --json` prints
 * @throws {@link LinkError} if the folder or a tree is missing.
 *
 * @example
 * ```ts
 * import { verify } from "capsule";
 *
 * for (const { name, message } of verify("/tmp/graphics", { container: "/srv/container" }).faults)
 *   console.error(`${name}: ${message}`);
 * ```
 */
export function verify(folder: string, options: VerifyOptions = {}): VerifyReport {
  const { container = "/", provider = "/", linkTarget, loader, programs = [] } = options;
  return asOurs(() => verifyFolder({ folder, container, provider, linkTarget, loader, programs }));
}

/** With system errors as LinkErrors. */
function asOurs<Result>(action: () => Result): Result {
  try {
    return action();
  } catch (error) {
    throw asLinkError(error) ?? error;
  }
}
