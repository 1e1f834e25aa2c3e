// System calls as data, tried in a child: what they change there is not changed here.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Libc } from "../../../lib/process/libc.ts";
import { RESULT, type Step, tryOut } from "../../../lib/process/steps.ts";

const SYS = { write: 1, open: 2, chdir: 80, mkdir: 83, getppid: 110 } as const;
const O_CREAT_WRONLY = 0o101;
const step = (name: keyof typeof SYS, ...list: Step["arguments"]): Step => ({
  name,
  number: SYS[name],
  arguments: list,
});

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "capsule-steps-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

describe("tryOut()", () => {
  const libc = new Libc();

  test("makes the calls one behind the other, in a process that ends", () => {
    const [file, folder] = [join(directory, "file"), join(directory, "folder")];
    const before = process.cwd();
    expect(
      tryOut(libc, [
        step("mkdir", folder, 0o700),
        step("chdir", folder),
        step("open", file, O_CREAT_WRONLY, 0o600),
        step("write", RESULT, "written", 7),
      ]),
    ).toBeUndefined();
    expect(readFileSync(file, "utf8")).toBe("written");
    expect(existsSync(folder)).toBe(true);
    expect(process.cwd()).toBe(before);
    expect(readFileSync("/proc/self/cmdline", "utf8")).toContain("bun");
  });

  test("says which call was refused, and why, and makes none behind it", () => {
    const never = join(directory, "never");
    const refused = step("mkdir", "/proc/none", 0o700);
    expect(tryOut(libc, [step("getppid"), refused, step("mkdir", never, 0o700)])).toEqual({ step: refused, errno: 2 });
    expect(existsSync(never)).toBe(false);
  });

  test("does nothing where there is nothing to do", () => {
    expect(tryOut(libc, [])).toBeUndefined();
  });
});
