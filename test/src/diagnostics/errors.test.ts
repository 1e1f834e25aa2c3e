import { expect, test } from "bun:test";
import { LinkError } from "../../../lib/link-error.ts";
import { accountOf, asLinkError, messageOf } from "../../../src/diagnostics/error-data.ts";
import { EXIT, ProgramError, UsageError } from "../../../src/diagnostics/errors.ts";
import { SPACE, softLimit } from "../../../src/diagnostics/limits.ts";

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

test("an error that comes from a limit of this process names it, and what helps", () => {
  const error = Object.assign(new Error("EMFILE, fcntl"), { code: "EMFILE" });
  const named = /^EMFILE, fcntl: open files are limited to \d+, which is too low \(ulimit -n 1024\)$/;
  expect(messageOf(error)).toMatch(named);
  expect(asLinkError(error)?.message).toMatch(named);
  expect(accountOf(error)).toMatch(named);
  expect(messageOf(new LinkError("Cannot do it", { cause: error }))).toContain(
    "Cannot do it: open files are limited to",
  );
});

test("a bug is told with where it is, and nothing else", () => {
  expect(accountOf(new TypeError("x is undefined"))).toContain("errors.test.ts");
  expect(accountOf(new LinkError("Cannot link it"))).toBe("Cannot link it");
});

test("a limit is known from the kernel's table", () => {
  const table = (soft: string) =>
    `Max processes  1  1  processes\nMax address space         ${soft}            unlimited            bytes\n`;
  expect(softLimit(table("4096"), SPACE)).toBe(4096);
  expect(softLimit(table("unlimited"), SPACE)).toBeUndefined();
});
