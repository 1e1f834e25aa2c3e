// `npm run demo`: two trees with a library of the same name each, and each with a helper of its own, which is again of
// the same name in both. A program uses both libraries; what it gets natively and in the capsule, side by side. Needs a
// C compiler, and neither X nor the network beyond that.

import { basename } from "node:path";
import { capsuleCommand } from "../bench/command.ts";
import { notgl } from "../test/support/notgl.ts";
import { run } from "../test/support/run.ts";
import { ensure, NEEDS } from "./needs.ts";
import { sideBySide } from "./side-by-side.ts";

ensure(NEEDS.compiler);
const { reference, red, programs } = await notgl();
const program = programs.linkedToBoth;
const env = { LD_LIBRARY_PATH: reference };
const flags = ["--host", red, "--isolate", "libnotgl.so.0"];

const native = await run([program], { env });
const capsule = await run(capsuleCommand(flags, [program]), { env });
for (const { exitCode, stderr } of [native, capsule])
  if (exitCode !== 0) throw new Error(`Exit code ${exitCode}: ${stderr}`);

console.log(`The program is linked to libnotgl.so.0, to libnotgles.so.1, and to libhelper.so.0, which both of them need, too.
Its own libraries are the tree "reference". The tree "red" has other copies of all three, under the same names.

  natively:       ${basename(program)}
  in the capsule: capsule exec --host red --isolate libnotgl.so.0 ${basename(program)}

${sideBySide(["what the program sees", "natively", "in the capsule"], native.stdout, capsule.stdout)}

In the capsule libnotgl.so.0 comes from the host tree, with the helper that it needs. Everything else is as before:
libnotgles.so.1 and the program itself still use the helper of their own. Two libhelper.so.0 live in one process.`);
