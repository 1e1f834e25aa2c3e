// A directory of each test's own as TMPDIR of this process.

import { afterEach, beforeEach } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Returns what gives the present test's. */
export function ownTmpdir(): () => string {
  const before = process.env.TMPDIR;
  let temporary = "";
  beforeEach(() => {
    temporary = mkdtempSync(join(tmpdir(), "test-private-"));
    process.env.TMPDIR = temporary;
  });
  afterEach(() => {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
    rmSync(temporary, { recursive: true });
  });
  return () => temporary;
}
