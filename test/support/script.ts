import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A script in a directory of its own, which goes with it. */
export function script(text: string): Disposable & { readonly path: string } {
  const directory = mkdtempSync(join(tmpdir(), "capsule-test-"));
  const path = join(directory, "script");
  writeFileSync(path, text);
  chmodSync(path, 0o755);
  return { path, [Symbol.dispose]: () => rmSync(directory, { recursive: true }) };
}
