import { expect, test } from "bun:test";
import { EXIT, ProgramError, UsageError } from "../../../src/diagnostics/errors.ts";

test("exit codes are those of env(1) and its like", () => {
  expect(EXIT).toEqual({ usage: 2, failure: 125, notRunnable: 126, notFound: 127 });
});

test("errors keep their name, message, cause and code", () => {
  const cause = new Error("a reason");
  const error = new ProgramError("Cannot run it", EXIT.notFound, { cause });
  expect(error).toMatchObject({ name: "ProgramError", message: "Cannot run it", exitCode: 127, cause });
  expect(new UsageError("No")).toMatchObject({ name: "UsageError", message: "No" });
  expect(new UsageError("No")).toBeInstanceOf(Error);
});
