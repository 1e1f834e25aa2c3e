// All commands.

import type { Command } from "commander";
import { captureCommand } from "./capture.ts";
import { completionsCommand } from "./completions.ts";
import { doctorCommand } from "./doctor.ts";
import { dumpCommand } from "./dump.ts";
import { execCommand } from "./exec.ts";
import { graphCommand } from "./graph.ts";
import { linkCommand } from "./link.ts";
import { planCommand } from "./plan.ts";
import { symbolsCommand } from "./symbols.ts";
import { treeCommand } from "./tree.ts";
import { verifyCommand } from "./verify.ts";
import { versionCommand } from "./version.ts";
import { whyCommand } from "./why.ts";

/** `report` reports an error and returns the exit code; code that only reads the definitions does not give it. */
export const allCommands = (report: (error: unknown) => number = () => 0): Command[] => [
  execCommand(),
  planCommand(),
  captureCommand(report),
  verifyCommand(),
  treeCommand(report),
  whyCommand(),
  graphCommand(report),
  doctorCommand(report),
  symbolsCommand(),
  versionCommand(),
  dumpCommand(),
  linkCommand(),
  completionsCommand(),
];
