// Parses the texts of settings. All functions throw UsageError for invalid ones.

import { UsageError } from "../diagnostics/errors.ts";
import { CATEGORIES, type Category, DEBUG_WORDS } from "../diagnostics/trace.ts";
import type { Profile } from "../profiles/profiles.ts";
import { isShared } from "../profiles/shared-set.ts";
import {
  GLIBC_CHOICES,
  type GlibcChoice,
  MODES,
  type Mode,
  NAMESPACE_CHOICES,
  type NamespaceChoice,
} from "./choices.ts";
import type { Name } from "./keys.ts";
import type { Said } from "./layer.ts";
import { suggestion } from "./nearest.ts";
import { asSays, quoted } from "./source.ts";

/** The text of a setting that is no list. */
export const only = ({ texts: [text = ""] }: Said): string => text;

const directoryOf =
  (what: string) =>
  (said: Said): string => {
    if (only(said) !== "") return only(said);
    throw new UsageError(`Cannot use the ${what} ""${asSays(said.source)}: a directory is needed`);
  };

/** Paths in host trees; a variable is split at colons. */
const placesOf = (said: Said): string[] => {
  const all =
    said.source.kind === "variable" ? said.texts.flatMap((text) => text.split(":").filter(Boolean)) : said.texts;
  for (const path of all)
    if (!path.startsWith("/"))
      throw new UsageError(
        `Cannot use the directory ${quoted(path)}${asSays(said.source)}: a path in the host tree is needed, which begins with a slash`,
      );
  return [...all];
};

function glibcOf(said: Said): GlibcChoice {
  const text = only(said);
  if (text.includes("/")) return { tree: text };
  return chosen("glibc", text, said, GLIBC_CHOICES, `, or a directory (./${text})`);
}

function categoriesOf(said: Said): Category[] {
  const all = Object.keys(CATEGORIES) as Category[];
  const categories =
    said.source.kind === "variable"
      ? said.texts.flatMap(inLibcapsulesWords)
      : said.texts.flatMap((text) => (text === "all" ? all : [chosen("trace category", text, said, ALL_CATEGORIES)]));
  return [...new Set(categories as Category[])];
}

const ALL_CATEGORIES = { all: "", ...CATEGORIES };

/** Unknown words are ignored, as in libcapsule. */
const inLibcapsulesWords = (text: string): readonly Category[] =>
  text.split(/[\s,]+/).flatMap((word) => (Object.hasOwn(DEBUG_WORDS, word) ? (DEBUG_WORDS[word] ?? []) : []));

/** A library that is named itself. */
export interface Isolated {
  readonly soname: string;
  /** Its own host tree, if any. */
  readonly directory: string | undefined;
}

const isolatedOf = ({ texts, source }: Said): Isolated[] =>
  texts.map((text) => {
    const [soname = "", ...rest] = text.split("=");
    const directory = rest.length > 0 ? rest.join("=") : undefined;
    if (soname === "" || soname.includes("/") || directory === "")
      throw new UsageError(`Cannot isolate ${quoted(text)}${asSays(source)}: SONAME or SONAME=DIR is needed`);
    if (isShared(soname))
      throw new UsageError(`Cannot isolate "${soname}"${asSays(source)}: the whole process has one copy of it`);
    return { soname, directory };
  });

/** Names of existing profiles. */
export const profileNamesOf = (said: Said, profiles: Readonly<Record<string, Profile>>): string[] =>
  said.texts.map((name) => chosen("profile", name, said, profiles));

/** How the text of each setting is parsed, but for the names of profiles: files may define some. */
export const PARSERS = {
  host: directoryOf("host tree"),
  runtime: directoryOf("runtime"),
  "host-libraries": placesOf,
  "host-shares": placesOf,
  isolate: isolatedOf,
  glibc: glibcOf,
  mode: (said: Said): Mode => chosen("mode", only(said), said, MODES),
  "mount-namespace": (said: Said): NamespaceChoice =>
    chosen("choice of a mount namespace", only(said), said, NAMESPACE_CHOICES),
  trace: categoriesOf,
} satisfies Partial<Record<Name, (said: Said) => unknown>>;

function chosen<Choices extends object>(
  what: string,
  name: string,
  { source }: Said,
  choices: Choices,
  more = "",
): keyof Choices & string {
  if (Object.hasOwn(choices, name)) return name as keyof Choices & string;
  const names = Object.keys(choices);
  throw new UsageError(`There is no ${what} ${quoted(name)}${asSays(source)}: ${suggestion(name, names)}${more}`);
}
