// `capsule why`: says which file provides a soname on each side, and by which rule. Nothing is run or loaded.

import { Command } from "commander";
import { EXIT, UsageError } from "../diagnostics/errors.ts";
import { printJson } from "../diagnostics/output.ts";
import { painter, show } from "../diagnostics/terminal.ts";
import { answersOf } from "../report/answers.ts";
import { answerJson } from "../report/json.ts";
import { makeReport, reportOn } from "../report/report.ts";
import { whyText } from "../report/why-text.ts";
import type { Flags } from "../settings/layer.ts";
import { addTreeOptions } from "./add-options.ts";
import { settingsFor } from "./tree-options.ts";

export function whyCommand(): Command {
  const command = new Command("why")
    .summary("say which file answers a soname, and why that one")
    .description(
      "Say for the program's side and for each capsule which file a soname is, who needs it, where it was searched for, and which rule or setting decides. Nothing is run or loaded.",
    )
    .argument("<soname>", "such as libstdc++.so.6");
  return addTreeOptions(command)
    .option("--program <program>", "for this program, as capsule tree takes it (default: for any that opens it)")
    .option("--json", "as JSON: an array, the program's side first")
    .addHelpText(
      "after",
      "\nExit status: 127 where no side has it, 125 where capsule fails, 2 for a wrong command line, else 0.",
    )
    .action((soname: string, flags: Flags & { program?: string; json?: boolean }) => {
      if (soname === "" || soname.includes("/")) throw new UsageError(`Cannot explain "${soname}": a soname is needed`);
      const choose = (file: string | undefined) => settingsFor(flags, file);
      const { program } = flags;
      const report =
        program === undefined ? makeReport(() => ({ kind: "soname", soname }), choose) : reportOn(program, choose);
      const answers = answersOf(soname, report);
      if (flags.json) printJson(answers.map(answerJson));
      else show(whyText(soname, answers, report, painter()));
      const isThere = answers.some(({ link, search }) => link?.item || search?.found);
      process.exitCode = isThere ? 0 : EXIT.notFound;
    });
}
