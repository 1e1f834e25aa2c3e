// Writes dist/types/: what TypeScript has to know of the library, and no more than that.

import { readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";

const root = join(import.meta.dir, "..");
const types = join(root, "dist/types");

rmSync(types, { recursive: true, force: true });
const { exitCode, stdout, stderr } = Bun.spawnSync(
  [process.execPath, join(root, "node_modules/typescript/bin/tsc"), "-p", join(root, "tsconfig.types.json")],
  { cwd: root },
);
if (exitCode !== 0) {
  console.error(`${stdout}${stderr}`);
  process.exit(1);
}

// Whatever the public names do not lead to is nobody's business.
const reached = new Set<string>();
const reach = (path: string): void => {
  if (reached.has(path)) return;
  reached.add(path);
  for (const [, , to = ""] of readFileSync(path, "utf8").matchAll(/(from|import\()\s*"(\.[^"]+)\.ts"/g))
    reach(join(dirname(path), `${to}.d.ts`));
};
reach(join(types, "src/index.d.ts"));
for (const name of readdirSync(types, { recursive: true, encoding: "utf8" })) {
  const path = join(types, name);
  const leadsThere = [...reached].some((file) => file.startsWith(`${path}/`));
  if (!reached.has(path) && !leadsThere) rmSync(path, { recursive: true, force: true });
}
