// Connections to Unix sockets, on which nobody waits for ever.

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LocalSocket } from "../../../lib/process/local-socket.ts";
import { System, SystemError } from "../../../lib/process/system.ts";
import { repository, run } from "../../support/run.ts";

const system = new System();
const directory = mkdtempSync(join(tmpdir(), "capsule-socket-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** A server in a process of its own, since who asks waits: it sends back what it gets, in capitals, and then closes. */
async function echo(address: string): Promise<Bun.Subprocess> {
  const script = `import socket
s = socket.socket(socket.AF_UNIX); s.bind(${address}); s.listen(); print("ready", flush=True)
c, _ = s.accept(); c.send(c.recv(100).upper())`;
  const child = Bun.spawn(["python3", "-c", script], { stdout: "pipe" });
  await child.stdout.getReader().read();
  return child;
}

const text = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString();
function codeOf(name: string): string {
  try {
    new LocalSocket(name, system)[Symbol.dispose]();
    return "";
  } catch (error) {
    if (error instanceof SystemError) return error.code;
    throw error;
  }
}

test.each([
  ["a path", join(directory, "socket"), JSON.stringify(join(directory, "socket"))],
  ["an abstract name", `\0capsule-test-${process.pid}`, `"\\0capsule-test-${process.pid}"`],
])("bytes go both ways by %s, and the end is an empty answer", async (_, name, address) => {
  const child = await echo(address);
  using socket = new LocalSocket(name, system);
  expect(socket.receive(10, 0)).toBeUndefined();
  socket.send(Buffer.from("hello"));
  expect(text(socket.receive(10, 5000))).toBe("HELLO");
  expect(text(socket.receive(10, 5000))).toBe("");
  await child.exited;
});

test("what is not there, is no socket, or has too long a name is an error", async () => {
  expect(codeOf(join(directory, "none"))).toBe("ENOENT");
  await Bun.write(join(directory, "file"), "");
  expect(codeOf(join(directory, "file"))).toBe("ECONNREFUSED");
  expect(codeOf(`/${"x".repeat(107)}`)).not.toBe("");
  expect(codeOf(`\0nobody-${process.pid}`)).toBe("ECONNREFUSED");
});

test("what has been closed leaves no descriptor", async () => {
  // In a process in which nothing else is opened or closed meanwhile.
  const script = `import { LocalSocket } from ${JSON.stringify(join(repository, "lib/process/local-socket.ts"))};
import { System } from ${JSON.stringify(join(repository, "lib/process/system.ts"))};
const open = () => Array.from(new Bun.Glob("*").scanSync({ cwd: "/proc/self/fd", onlyFiles: false })).length;
const system = new System();
const connect = () => {
  try {
    new LocalSocket(${JSON.stringify(join(directory, "none"))}, system);
  } catch (error) {
    return error.code;
  }
};
connect();
const before = open();
const codes = new Set(Array.from({ length: 20 }, connect));
console.log(...codes, open() - before);`;
  const { stdout, stderr } = await run([process.execPath, "-e", script]);
  expect([stdout, stderr]).toEqual(["ENOENT 0\n", ""]);
});
