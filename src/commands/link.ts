// `capsule link`: acts as the dynamic linker of a program without a libc, in TypeScript, and explains the same steps
// for any program.

import { Command } from "commander";
import { Libc } from "../../lib/process/libc.ts";
import { LibraryStore } from "../../lib/tree/library-store.ts";
import { libraryPathOf, Search } from "../../lib/tree/search.ts";
import { Tree } from "../../lib/tree/tree.ts";
import { ChoiceOption } from "../command-line/model.ts";
import { UsageError } from "../diagnostics/errors.ts";
import { print, printJson } from "../diagnostics/output.ts";
import { painter, show } from "../diagnostics/terminal.ts";
import { Trace } from "../diagnostics/trace.ts";
import { explain } from "../explain/explain.ts";
import { explanationText } from "../explain/explain-text.ts";
import { linkable, linkProgram } from "../explain/link-program.ts";
import { pageOf } from "../explain/page.ts";
import { procFiles } from "../handover/descriptors.ts";
import { findProgram } from "../plan/program.ts";
import { inheritedDescriptors } from "../reexec/inherited.ts";
import { ownCommand } from "../reexec/own-command.ts";

const FORMS = { text: "for a terminal", json: "as data", html: "a page, with pictures, to go through" };

const HELP = `
Libraries are searched as ld.so does, LD_LIBRARY_PATH first.

Exit status: the program's own, 0 where its entry returns; 125 where it cannot be linked, 126 where it cannot
be run, 127 where it is not found, 2 for a wrong command line.`;

/** The word after --explain is the program. A form is seldom wanted, and has to be given with "=". */
class LinkCommand extends Command {
  override parseOptions(words: string[]): ReturnType<Command["parseOptions"]> {
    const operand = words.findIndex((word) => !word.startsWith("-"));
    const own = operand < 0 ? words.length : operand;
    return super.parseOptions(words.map((word, i) => (word === "--explain" && i < own ? `${word}=text` : word)));
  }
}

export function linkCommand(): Command {
  return new LinkCommand("link")
    .configureHelp({ optionTerm: ({ flags }) => flags.replace(/ \[(.*)\]$/, "[=$1]") })
    .summary("be the dynamic linker of a program without a libc")
    .description(
      "Link PROGRAM, which needs no libc, and run it: map it with all that it needs, resolve its relocations, run constructors, enter it, run destructors when it returns.",
    )
    .argument("<program>", "a path, or a name that PATH has")
    .argument("[arguments...]", "the program's own")
    .addOption(
      new ChoiceOption(
        "--explain [form]",
        `show each step, and do nothing of it, for any dynamically linked program: ${Object.keys(FORMS).join(", ")} (default: text)`,
        FORMS,
      ),
    )
    .addHelpText("after", HELP)
    .passThroughOptions()
    .action((name: string, list: string[], { explain: form }: { explain?: string }) => {
      const isRun = form === undefined;
      // Before anything is opened that stays open.
      const inherited = isRun ? inheritedDescriptors(procFiles) : new Set<number>();
      const libraryPath = libraryPathOf(process.env.LD_LIBRARY_PATH);
      const search = new Search(new Tree("/"), libraryPath, new LibraryStore(), findProgram(name));
      const program = linkable(search, name);
      if (isRun) {
        const libc = new Libc();
        const own = ownCommand(libc, inherited).arguments();
        const words = { list: own.slice(-list.length - 1), inherited };
        return linkProgram(libc, search, program, words, new Trace([]));
      }
      const { length } = Object.keys(process.env);
      const explained = () => explain(search, program, [name, ...list], length);
      switch (form) {
        case "text":
          return show(explanationText(explained(), painter()));
        case "json":
          return printJson(explained());
        case "html":
          return print(pageOf(explained()));
        default:
          throw new UsageError(
            `There is no form "${form}" of an explanation: choose of ${Object.keys(FORMS).join(", ")}`,
          );
      }
    });
}
