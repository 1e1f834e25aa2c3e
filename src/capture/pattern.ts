// What to capture, as it is written: modifiers, a kind and a name. The words are those of libcapsule's
// capsule-capture-libs, whose command lines are in use.

import { readWhole } from "../../lib/regular-file.ts";
import { isGlob } from "../../lib/tree/glob.ts";
import { reasonOf } from "../../lib/tree/search.ts";
import { UsageError } from "../diagnostics/errors.ts";
import { FAMILIES } from "../profiles/profiles.ts";
import { quoted } from "../settings/source.ts";

/** How a name is looked up in the provider. */
export const KINDS = {
  soname: "the library that ld.so finds by this name",
  "exact-soname": "the same, if it is also its DT_SONAME",
  "soname-match": "every library whose soname matches a glob",
  path: "this file",
  "path-match": "every library whose path matches a glob",
} as const;
export type Kind = keyof typeof KINDS;

/** Of which of its libraries a request is: those that match, what they need, or both. */
export type Part = "both" | "only-dependencies" | "no-dependencies";

export interface Request {
  /** As it was written, for messages. */
  readonly text: string;
  readonly kind: Kind;
  readonly name: string;
  readonly part: Part;
  /** Nothing is wrong if nothing matches, or something that a match needs is missing. */
  readonly ifExists: boolean;
  /** Nothing is wrong if the file is for another class or machine. */
  readonly ifSameAbi: boolean;
  /** What matches is captured whatever the container has. */
  readonly evenIfOlder: boolean;
  /** A folder in the folder, for what matches. */
  readonly into?: string | undefined;
}

type Modifiers = Pick<Request, "part" | "ifExists" | "ifSameAbi" | "evenIfOlder">;

const PLAIN: Modifiers = { part: "both", ifExists: false, ifSameAbi: false, evenIfOlder: false };
const IF_THERE: Modifiers = { ...PLAIN, ifExists: true, evenIfOlder: true };

/** Lists that name lists, one in another. */
const DEPTH = 16;
const LIST = { name: "a list of patterns", most: 1 << 20 };

/** Throws UsageError for one that makes no sense, or a list that cannot be read. */
export const requestsOf = (patterns: readonly string[]): Request[] =>
  patterns.flatMap((pattern) => parsed(pattern, PLAIN, pattern, 0));

function parsed(text: string, modifiers: Modifiers, whole: string, depth: number): Request[] {
  const colon = text.indexOf(":");
  const [word, rest] = [text.slice(0, Math.max(0, colon)), text.slice(colon + 1)];
  const more = modified(word, modifiers, whole);
  if (more) return parsed(rest, more, whole, depth);
  if (word === "from") return listed(rest, modifiers, depth);
  if ((word === "gl" || word === "nvidia") && rest === "")
    return SHORT[word].flatMap((name) => {
      const kind = isGlob(name) ? "soname-match" : "soname";
      return request(kind, name, { ...modifiers, ...IF_THERE, part: modifiers.part }, whole);
    });
  if (Object.hasOwn(KINDS, word)) return [request(word as Kind, rest, modifiers, whole)];
  // A bare name or path. Files may have colons in their names, and sonames do not.
  if (text.startsWith("/")) return [request(isGlob(text) ? "path-match" : "path", text, modifiers, whole)];
  if (colon >= 0)
    throw new UsageError(
      `Cannot capture ${quoted(whole)}: there is no ${quoted(`${word}:`)}; it may begin with ${WORDS.map((one) => `${one}:`).join(", ")}`,
    );
  return [request(isGlob(text) ? "soname-match" : "soname", text, modifiers, whole)];
}

const MODIFIERS = ["if-exists", "if-same-abi", "even-if-older", "only-dependencies", "no-dependencies"];
const WORDS = [...MODIFIERS, ...Object.keys(KINDS), "from", "gl", "nvidia"];

function modified(word: string, before: Modifiers, whole: string): Modifiers | undefined {
  switch (word) {
    case "if-exists":
      return { ...before, ifExists: true };
    case "if-same-abi":
      return { ...before, ifSameAbi: true };
    case "even-if-older":
      return { ...before, evenIfOlder: true };
    case "only-dependencies":
    case "no-dependencies":
      if (before.part !== "both" && before.part !== word)
        throw new UsageError(
          `Cannot capture ${quoted(whole)}: only-dependencies: and no-dependencies: together leave nothing`,
        );
      return { ...before, part: word };
    default:
      return undefined;
  }
}

function request(kind: Kind, name: string, modifiers: Modifiers, text: string): Request {
  const isPath = kind.startsWith("path");
  if (name === "") throw new UsageError(`Cannot capture ${quoted(text)}: a name is needed`);
  if (isPath && !name.startsWith("/"))
    throw new UsageError(`Cannot capture ${quoted(text)}: a path in the provider is needed, which begins with a slash`);
  if (!isPath && name.includes("/"))
    throw new UsageError(`Cannot capture ${quoted(text)}: a soname has no slash; path: is for files`);
  return { text, kind, name, ...modifiers };
}

/** The patterns in a file, one a line. */
function listed(file: string, modifiers: Modifiers, depth: number): Request[] {
  const cannot = (why: string, cause?: unknown) =>
    new UsageError(`Cannot read the patterns in ${quoted(file)}: ${why}`, cause === undefined ? {} : { cause });
  if (file === "") throw cannot("the name of a file is needed");
  if (depth >= DEPTH) throw cannot("it is a list in lists, too deep");
  let text: string;
  try {
    text = readWhole(file, LIST).toString();
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw cannot(code === undefined ? message : reasonOf(code), cause);
  }
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .flatMap((line) => parsed(line, modifiers, line, depth + 1));
}

const { glvnd, nvidia } = FAMILIES;

/** What stands for many: what there is of it, whatever the container has. */
const SHORT: Readonly<Record<"gl" | "nvidia", readonly string[]>> = {
  gl: [
    ...(glvnd?.libraries ?? []),
    // the drivers that glvnd's libraries open by name
    ...["libGLX_*.so.*", "libEGL_*.so.*", "libGLESv1_CM_*.so.*", "libGLESv2_*.so.*", "libglx.so.*"],
    ...["libcuda.so.*", "libnvidia-*.so.*"],
  ],
  nvidia: [
    ...(nvidia?.libraries ?? []),
    ...["libGLX_nvidia.so.*", "libEGL_nvidia.so.*", "libGLESv1_CM_nvidia.so.*", "libGLESv2_nvidia.so.*"],
    ...["libcuda.so.*", "libcudadebugger.so.*", "libnvcuvid.so.*", "libnvoptix.so.*", "libvdpau_nvidia.so.*"],
    ...["libnvidia-*.so.*", "libglx.so.*", "libglxserver_nvidia.so.*"],
  ],
};
