// A verification for people.

import type { Paint } from "../diagnostics/terminal.ts";
import type { VerifyReport } from "./verify.ts";

export function verifyText({ folder, container, checked, faults }: VerifyReport, paint: Paint): string {
  const lines = faults.map(
    ({ name, message }) => `${paint("red", "✘")} ${paint("bold", name)}: ${paint("plain", message)}`,
  );
  const sum =
    faults.length === 0 ? "all is as promised" : `${faults.length} ${faults.length === 1 ? "fault" : "faults"}`;
  lines.push(paint("plain", `${checked.length} checked in ${folder}, for ${container}: ${sum}`));
  return lines.map((line) => `${line}\n`).join("");
}
