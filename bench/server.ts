// What the server of an attached program takes while that runs and asks nothing: time, wake-ups, memory.

import { readdirSync, readFileSync } from "node:fs";
import { environment } from "../test/support/run.ts";
import { column, type Table } from "./report.ts";
import { awaitServers, type Command } from "./sample.ts";
import type { Subjects } from "./subjects.ts";

/** In milliseconds. It gives back memory when nobody has asked for a second. */
const UNTIL_IDLE = 2500;
const WATCHED_FOR = 5000;
/** The kernel counts time in ticks of 10 ms. */
const TICK = 10;

export async function server({ glxinfo, idle, runner }: Subjects): Promise<Table> {
  const cases: [name: string, command: Command, lines: number][] = [
    ["idle program", idle.command("attached", ["stay"]), 1],
    ["10 × glxinfo -B", runner.command("attached", ["10", "kept", ...glxinfo.argv]), 10],
  ];
  const all: (number | undefined)[][] = [];
  for (const [, command, lines] of cases) all.push(await look(command, lines));
  const labels = [
    "CPU time until then, in ms",
    `CPU time in the next ${WATCHED_FOR / 1000} s, in ms`,
    `wake-ups in the next ${WATCHED_FOR / 1000} s, of all its threads`,
    "threads",
    "memory, its share (PSS), in MB",
    "memory, its own (private dirty), in MB",
    "memory, resident (RSS), in MB",
  ];
  return {
    title: `The server of an attached program, ${UNTIL_IDLE / 1000} s after the last has been linked`,
    columns: cases.map(([name]) => column(name, 1)),
    rows: labels.map((label, i) => ({ label, cells: all.map((numbers) => numbers[i]) })),
  };
}

/** `lines`: so many the program writes until it waits. */
async function look({ argv, env }: Command, lines: number): Promise<number[]> {
  const program = Bun.spawn([...argv], { env: environment(env), stdin: "pipe", stdout: "pipe", stderr: "inherit" });
  const reader = program.stdout.getReader();
  for (let seen = 0; seen < lines; ) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`It has ended: ${argv.join(" ")}`);
    seen += new TextDecoder().decode(value).split("\n").length - 1;
  }
  await Bun.sleep(UNTIL_IDLE);
  const pid = serverOf(env.TMPDIR ?? "");
  const [time, count] = [cpuTime(pid), wakeUps(pid)];
  await Bun.sleep(WATCHED_FOR);
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const megabytes = (field: string) => Number(new RegExp(`^${field}: +(\\d+) kB$`, "m").exec(rollup)?.[1]) / 1024;
  const numbers = [
    time,
    cpuTime(pid) - time,
    wakeUps(pid) - count,
    readdirSync(`/proc/${pid}/task`).length,
    megabytes("Pss"),
    megabytes("Private_Dirty"),
    megabytes("Rss"),
  ];
  await program.stdin.end();
  await program.exited;
  awaitServers(env.TMPDIR ?? "");
  return numbers;
}

/** Who has a directory below that one on its command line. */
function serverOf(directory: string): number {
  const servers = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && isServer(name, `${directory}/capsule-`));
  if (servers.length !== 1) throw new Error(`There are ${servers.length} servers in "${directory}"`);
  return Number(servers[0]);
}

function isServer(pid: string, directory: string): boolean {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    return words.some((word) => word.startsWith(directory));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH") return false;
    throw error;
  }
}

/** utime and stime of proc(5), in milliseconds. */
function cpuTime(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK;
}

/** A thread that sleeps gives up the processor of its own will, once each time that it is woken. */
function wakeUps(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, task) => {
    const status = readFileSync(`/proc/${pid}/task/${task}/status`, "utf8");
    return sum + Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)?.[1]);
  }, 0);
}
