// For a process of its own: executes itself as often as N says, with a Worker that is just starting, and shows what it was
// given.
//
//   executes-itself.ts ARGUMENT…

import { Libc } from "../../../lib/process/libc.ts";
import { ownCommand } from "../../../src/reexec/own-command.ts";
import { formerVariables, reexec, withoutReexec } from "../../../src/reexec/reexec.ts";

const libc = new Libc();
const command = ownCommand(libc, new Set());
const count = Number(process.env.COUNT ?? "0");
if (count < Number(process.env.N)) {
  new Worker(`data:text/javascript,setInterval(() => {}, 1000)`);
  const environment = new Map([
    ["COUNT", `${count + 1}`],
    ["GIVEN", `changed ${count}`],
  ]);
  reexec(libc.exec, command, { environment });
}
const text = (list: readonly Uint8Array[]) => list.map((bytes) => Buffer.from(bytes).toString("latin1"));
console.log(
  JSON.stringify({
    pid: process.pid,
    count,
    arguments: text(command.arguments()).slice(2),
    environment: text(command.environment()),
    former: [...formerVariables()],
    undone: [...withoutReexec(process.env)],
  }),
);
process.exit(0);
