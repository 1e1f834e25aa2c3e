// Starts a program detached, from the main thread or another, and prints how that looks. Its process must not be the
// tests' own, which has children.

import { openSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { startDetached } from "../../../lib/process/detached.ts";
import { Libc } from "../../../lib/process/libc.ts";
import { System, SystemError } from "../../../lib/process/system.ts";

let signals = 0;
process.on("SIGCHLD", () => signals++);

function show() {
  const libc = new Libc();
  const system = new System();
  const opened = (path: string) => system.duplicate(openSync(path, "r+"));
  const nothing = opened("/dev/null");
  const start = (path: string) =>
    startDetached(libc, {
      path,
      arguments: ["sleep", "1000"].map((text) => Buffer.from(text)),
      environment: [Buffer.from("A=b"), Buffer.from("ODD=\xe9", "latin1")],
      descriptors: {
        nothing,
        output: nothing,
        error: nothing,
        third: opened("/dev/zero"),
        fourth: opened("/dev/full"),
      },
    });
  const pid = start("/bin/sleep");
  const file = (name: string) => readFileSync(`/proc/${pid}/${name}`, "latin1");
  const field = (name: string) => new RegExp(`^${name}:\\t(\\w+)`, "m").exec(file("status"))?.[1];
  const list = (name: string) => file(name).split("\0").slice(0, -1);
  const session = (name: string) => readFileSync(`/proc/${name}/stat`, "latin1").split(") ").at(-1)?.split(" ")[3];
  let refusal = "";
  try {
    start("/no/such/program");
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    refusal = error.message;
  }
  const shown = {
    isOurChild: field("PPid") === `${process.pid}`,
    children: readdirSync("/proc/self/task")
      .map((id) => readFileSync(`/proc/self/task/${id}/children`, "latin1"))
      .join(""),
    hasOwnSession: session(`${pid}`) !== session("self"),
    descriptors: readdirSync(`/proc/${pid}/fd`).join(" "),
    third: readlinkSync(`/proc/${pid}/fd/3`),
    fourth: readlinkSync(`/proc/${pid}/fd/4`),
    directory: readlinkSync(`/proc/${pid}/cwd`),
    arguments: list("cmdline"),
    environment: list("environ"),
    blocked: field("SigBlk"),
    refusal,
  };
  process.kill(pid, "SIGKILL");
  return shown;
}

if (!Bun.isMainThread) postMessage(show());
else if (process.argv[2] === "main") print(show());
else new Worker(import.meta.path).onmessage = ({ data }) => print(data);

function print(shown: object): void {
  // A signal would have come by now.
  setImmediate(() => {
    console.log(JSON.stringify({ ...shown, signalsOfChildren: signals }));
    process.exit();
  });
}
