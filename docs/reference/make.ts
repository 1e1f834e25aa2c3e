// Writes docs/api.md, from the comments of what src/index.ts exports (`npm run docs`). It is
// kept in the repository: one page, to be read where the sources are, and whose changes
// are seen in a review. A test says when it is out of date.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  Application,
  Comment,
  CommentTag,
  Converter,
  type DeclarationReflection,
  Logger,
  LogLevel,
  type ProjectReflection,
  ReflectionKind,
} from "typedoc";

export interface DocumentedFunction {
  /** Of a method, with its class. */
  readonly name: string;
  /** The first word of each `@throws`. */
  readonly throws: readonly string[];
}

export interface Reference {
  readonly classes: readonly string[];
  readonly functions: readonly DocumentedFunction[];
  /** What is not documented, and links that lead nowhere. */
  readonly complaints: readonly string[];
  readonly page: string;
}

export const PAGE = join(import.meta.dir, "..", "api.md");

/** In this order. What belongs together is in one place in the sources, too. */
const CHAPTERS: readonly (readonly [title: string, files: RegExp])[] = [
  ["Running programs", /\/(library\/launch(-options)?|profiles\/profiles)\.ts$/],
  ["Plans", /\/(library\/plan|report\/plan-data)\.ts$/],
  ["Capsules in this process", /\/library\/(capsule|redirection)\.ts$/],
  ["Events", /\/(events|trace)\.ts$/],
  ["Errors", /\/(errors?|error-data)\.ts$/],
];

const HEAD = `<!-- Made of the comments in the sources by \`npm run docs\`: change them, not this. -->

# The library

For authors of scripts: what \`import … from "capsule"\` gives. [launchers.md](launchers.md) says what to do with it. Sizes are in bytes, durations in
milliseconds, addresses are numbers; what is not given is left out, or undefined.

`;

class Complaints extends Logger {
  readonly list: string[] = [];

  override log(message: string, level: LogLevel): void {
    if (level >= LogLevel.Warn) this.list.push(message);
  }
}

/** Throws where the sources cannot be read as TypeScript. */
export async function makeReference(): Promise<Reference> {
  const app = await Application.bootstrapWithPlugins({ options: join(import.meta.dir, "typedoc.json") });
  const complaints = new Complaints();
  app.logger = complaints;
  app.options.setValue(
    "groupOrder",
    CHAPTERS.map(([title]) => title),
  );
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => intoChapters(project));
  const project = await app.convert();
  if (!project) throw new Error(`Cannot read the sources:\n${complaints.list.join("\n")}`);
  app.validate(project);
  const out = mkdtempSync(join(tmpdir(), "capsule-reference-"));
  try {
    await app.outputs.writeOutput({ name: "markdown", path: out }, project);
    const text = withThrowsTogether(readFileSync(join(out, "README.md"), "utf8"));
    const page = formatted(`${HEAD}${contentsOf(project)}\n${text}`);
    const classes = project.getReflectionsByKind(ReflectionKind.Class).map(({ name }) => name);
    return { classes, functions: functionsOf(project), complaints: complaints.list, page };
  } finally {
    rmSync(out, { recursive: true });
  }
}

function intoChapters(project: ProjectReflection): void {
  for (const each of project.children ?? []) {
    const file = `/${project.getSymbolIdFromReflection(each)?.packagePath}`;
    const [title] = CHAPTERS.find(([, files]) => files.test(file)) ?? [];
    if (title === undefined) continue;
    each.comment ??= new Comment();
    each.comment.blockTags.push(new CommentTag("@group", [{ kind: "text", text: title }]));
  }
}

const functionsOf = (project: ProjectReflection): DocumentedFunction[] =>
  project.getReflectionsByKind(ReflectionKind.FunctionOrMethod).flatMap((each) =>
    ((each as DeclarationReflection).signatures ?? []).map(({ comment }) => ({
      name: each.getFullName(),
      throws: (comment?.getTags("@throws") ?? []).map(({ content: [first] }) => first?.text.split(" ")[0] ?? ""),
    })),
  );

const contentsOf = ({ groups = [] }: ProjectReflection): string =>
  groups
    .map(
      ({ title, children }) =>
        `- ${title}: ${children.map(({ name }) => `[${name}](#${name.toLowerCase()})`).join(", ")}\n`,
    )
    .join("");

/** One heading for all that a function throws. */
function withThrowsTogether(page: string): string {
  return page.replaceAll(/^(#+ Throws)\n\n(.+\n\n)(?:\1\n\n(?:.+\n\n?))+/gm, (all, heading: string) => {
    const each = all
      .split(heading)
      .map((text) => text.trim())
      .filter(Boolean);
    return `${heading}\n\n${each.map((text) => `- ${text}\n`).join("")}\n`;
  });
}

/** As all that is in the repository. */
function formatted(page: string): string {
  const biome = join(import.meta.dir, "../../node_modules/@biomejs/biome/bin/biome");
  const { success, stdout, stderr } = Bun.spawnSync([process.execPath, biome, "format", `--stdin-file-path=${PAGE}`], {
    stdin: Buffer.from(page),
  });
  if (!success) throw new Error(`Cannot format "${PAGE}": ${stderr}`);
  return `${stdout}`;
}

if (import.meta.main) {
  const { page, complaints } = await makeReference();
  for (const complaint of complaints) console.error(complaint);
  writeFileSync(PAGE, page);
  process.exit(complaints.length === 0 ? 0 : 1);
}
